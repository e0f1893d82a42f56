"""A row of the table: what an image is, what it breaks, and what each target makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache

from xensave import __version__, catalogue
from xensave.convert.frame import FrameConverter
from xensave.convert.plan import ConversionRefused
from xensave.convert.settings import Settings
from xensave.convert.stream.stream import Judging
from xensave.engine.verdict import Accepted, Depends, Refused, Verdict
from xensave.errors import XensaveError
from xensave.fleet.scan import Question
from xensave.fleet.schema import COLUMNS, Row
from xensave.fleet.sources import may_be_image
from xensave.image.facts.guest import GuestFacts
from xensave.image.glance import ReadingMode
from xensave.image.image import Image, open_image
from xensave.image.input import Item, JudgedInput, judged_input
from xensave.policy.hostfile import read_host
from xensave.policy.value import Policy
from xensave.source import Source, open_source
from xensave.source.remote import listed
from xensave.source.remote.addresses import StoreObject
from xensave.toolstack.judge import Judge

_EMPTY: Row = {column.name: None for column in COLUMNS}
_LOSSES = 16
_MOST_KILOBYTES = 1 << 53


def rows_of(batch: Sequence[StoreObject], question: Question) -> list[Row]:
    """Returns a row for each of a batch's images; what goes wrong with one is in its row."""
    judge = _judge(question)
    return [row_of(entry, question, judge) for entry in batch]


def row_of(entry: StoreObject, question: Question, judge: Judge) -> Row:
    """Returns an image's row."""
    row = _start(entry)
    if entry.size < 0 and not may_be_image(entry.address):
        return row | {"error": f"{entry.address}: no file or block device"}
    try:
        with open_source(entry.address) as source:
            judged = judged_input(Item(entry.address, None, entry.address, source))
            image = _image(judged, source, question)
            row.update(_facts(image.facts))
            asked = judged if judged.image is None else judged._replace(image=image)
            row["verdicts"] = [
                _verdict(image, target, judge.judge(asked, target)) for target in judge.targets
            ]
    except XensaveError as error:
        row["error"] = str(error)
    except OSError as error:
        row["error"] = error.strerror or str(error)
    return row


def _image(judged: JudgedInput, source: Source, question: Question) -> Image:
    """Returns what was opened as an image: by a glance, or a bare context's bytes."""
    if judged.context is not None:
        return open_image(judged.context)
    return open_image(source.name, source=source, glance=not question.walk)


def error_row(entry: StoreObject, why: str) -> Row:
    """Returns the row of an image that could not be read."""
    return _start(entry) | {"error": why}


def _start(entry: StoreObject) -> Row:
    return _EMPTY | {
        "address": listed(entry.address),
        "size": entry.size,
        "mtime": entry.mtime,
        "etag": entry.etag,
        "scanned": time.time(),
        "version": __version__,
    }


@cache
def _judge(question: Question) -> Judge:
    host = None
    if question.host is not None:
        host = read_host(question.host)
    return Judge(list(question.targets), host=host, name_needs=False)


def _facts(facts: GuestFacts) -> Row:
    state = facts.emulators[0] if facts.emulators else None
    return {
        "containers": [*facts.layers, *(["HVM context"] if facts.context is not None else [])],
        "complete": facts.stop is None,
        "read": (ReadingMode.GLANCE if facts.unread else ReadingMode.WALK).value,
        "unread": facts.unread,
        "guest": _text(facts.described.get("c_info", "name")),
        "uuid": _text(facts.described.get("c_info", "uuid")),
        "type": facts.type if facts.domain or facts.context else None,
        "vcpus": facts.vcpus,
        "memory": _kilobytes(facts.described.get("b_info", "max_memkb")),
        "xen": facts.xen,
        "toolstack": facts.layers[0].split()[0] if facts.layers else None,
        "stream": facts.libxc.version if facts.libxc else None,
        "records": [count._asdict() for count in facts.counts],
        "tsc_mode": facts.tsc[-1].mode if facts.tsc else None,
        "viridian": facts.param.get(catalogue.number_in("hvm-param", "VIRIDIAN")),
        "emulator": state.kind if state else None,
        "emulator_version": state.version if state else None,
        "findings": list(_findings(facts)),
        "error": str(facts.stop) if facts.stop is not None else None,
        **_policy(facts),
    }


def _policy(facts: GuestFacts) -> Row:
    if facts.leaves is None:
        return {}
    msrs = {entry.msr: entry.value for entry in facts.msrs or ()}
    policy = Policy.of(facts.leaves, msrs, facts.name)
    return {
        "features": sorted(policy.features),
        "max_leaf": policy.leaf(0)[0],
        "max_subleaf": policy.leaf(7)[0],
        "max_extended": policy.leaf(0x80000000)[0],
        "msrs": [{"index": index, "value": value} for index, value in sorted(msrs.items())],
    }


def _findings(facts: GuestFacts) -> Iterator[Row]:
    for finding in facts.broken or ():
        yield {
            "rule": finding.rule,
            "severity": str(finding.severity),
            "record": finding.place.record,
            "offset": finding.place.offset,
            "message": finding.message,
        }


def _verdict(image: Image, target: str, verdict: Verdict) -> Row:
    row: Row = {
        "target": target,
        "accepted": verdict.accepted,
        "errno": verdict.errno or None,
        "depends": [],
        "losses": [],
    }
    match verdict:
        case Refused():
            row |= {
                "layer": verdict.layer,
                "record": verdict.record,
                "rule": verdict.rule,
                "why": verdict.reason,
                **_conversion(image, target),
            }
        case Depends():
            row["depends"] = [*verdict.depends, *verdict.assumes]
        case Accepted():
            row["depends"] = list(verdict.assumes)
    return row


def _conversion(image: Image, target: str) -> Row:
    """Says whether a conversion would help, and what it would lose; page records pass through.

    Where it would change nothing, the target refuses the result as it does the image.
    """
    converter = FrameConverter(Settings(target, allow_loss=True), judging=Judging.AT_THE_END)
    try:
        for event in image.glance():
            converter.convert(event)
        converter.finish()
        if not converter.plan.changes:
            return {"convertible": False}
        converter.check_whole()
    except (ConversionRefused, XensaveError):
        return {"convertible": False}
    losses = [
        f"{change.where.record}: {loss.field} = {loss.value}"
        for change in converter.plan.changes
        for loss in change.loss
    ]
    return {"convertible": True, "losses": losses[:_LOSSES]}


def _kilobytes(value: object) -> int | None:
    """Returns bytes; None for what is no number of them, such as one that no column can hold."""
    return value * 1024 if isinstance(value, int) and 0 <= value < _MOST_KILOBYTES else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
