"""An image as show, verify, check and convert read it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fuzz.printing import printable
from fuzz.targets.choice import some
from fuzz.targets.place import folder
from xensave import open as open_image
from xensave.container.events import Event
from xensave.container.walk import walk
from xensave.convert import Settings
from xensave.convert.frame import FrameConverter
from xensave.convert.legacy import convert_legacy_stream
from xensave.errors import XensaveError
from xensave.image.input import JudgedInput, Unreadable, expand, judged_input
from xensave.image.subjects import all_subjects
from xensave.records.json_text import json_pieces
from xensave.rules.stream.run import Verification, stopped
from xensave.source import open_source
from xensave.source.opening import VHD
from xensave.source.stream import StreamSource
from xensave.testing.frames import DOMAIN, VM
from xensave.toolstack.judge import Judge
from xensave.views.answers.findings import finding_line, finding_object
from xensave.views.answers.plan import plan_lines, plan_object
from xensave.views.answers.verdicts import verdict_line, verdict_object
from xensave.views.guest.summary import summary_json, summary_lines
from xensave.views.records.event import event_line
from xensave.views.records.fields import record_lines
from xensave.views.records.hvmctx import hvmctx
from xensave.views.records.record_json import record_json

WIDTH = 100
TARGET_RELEASES = ("3.4", "4.13", "4.17", "4.21")
CONVERSIONS = (
    Settings("4.13", source="4.17"),
    Settings("4.21", source="4.13", repair=True),
    Settings("4.5", source="4.17"),
    Settings("4.17", to="libxl"),
    Settings("4.17", to="libvirt", metadata=DOMAIN.encode()),
    Settings("4.17", to="xenopsd", metadata=VM.encode()),
    Settings("4.3", source="4.17"),
)

WAYS = ((8, False, True), (4, False, False), (8, True, True), (4, True, False))
"""Toolstacks and guests of legacy streams, and whether libxl's records are asked for."""


def show(data: bytes) -> None:
    """Everything that `show` can print: the summary, each record, and xen-hvmctx's text."""
    with open_image(data) as image:
        printable(summary_lines(image, WIDTH))
        json.dumps(summary_json(image))
        for subject in all_subjects(image):
            printable(record_lines(subject, WIDTH))
            json.loads("".join(json_pieces(record_json(subject))))
        if image.has_context:
            # Contexts of another release than 4.17 may be too short for that tool's structs.
            with suppress(XensaveError):
                printable(text.replace("\n", "") for text in hvmctx(image.context_bytes))


def verify(data: bytes) -> None:
    """Every rule, over a file and over a pipe: both must say the same."""
    with open_source(data) as mapped:
        found = _verified(Verification(mapped))
    pipe = StreamSource(io.BytesIO(data).read, "<pipe>")
    plain = mapped.seekable and not data.startswith(VHD)
    if data and plain and found != _verified(Verification(pipe)):
        raise AssertionError("a file and a pipe of the same bytes are judged differently")


def _verified(verification: Verification) -> list[str]:
    lines = []
    try:
        for event, found in verification.events():
            printable([event_line(event)])
            for finding in found:
                lines.append(finding_line("input", finding))
                json.dumps(finding_object(finding))
    except XensaveError as error:
        lines.append(finding_line("input", stopped(error)))
    printable(lines)
    return lines


def convert(data: bytes) -> None:
    """Down, up or into another frame: the plan, and every byte that would be written."""
    for settings in some(CONVERSIONS, data, 2):
        converter = FrameConverter(settings)
        with suppress(XensaveError), open_source(data) as source:
            for event in walk(source):
                _written(converter.convert(event))
            _written(converter.finish())
        printable(plan_lines(converter.plan, WIDTH))
        json.dumps(plan_object(converter.plan))


def _written(output: Iterable[Event | bytes]) -> None:
    for part in output:
        if isinstance(part, Event):
            part.to_bytes()


def legacy(data: bytes) -> None:
    """What Xen's convert-legacy-stream would be given, with every width and type of guest."""
    with open("/dev/null", "wb") as out:
        for width, pv, libxl in WAYS:
            with suppress(XensaveError), open_source(data) as source:
                convert_legacy_stream(source, out.fileno(), width=width, pv=pv, libxl=libxl)


def check(data: bytes) -> None:
    """What releases of each kind of check say of it as a context, and as an image."""
    releases = some(TARGET_RELEASES, data, 2)
    judge = Judge(releases)
    _verdicts(judge, JudgedInput("input", None, data, None), releases)
    with open_image(data) as image:
        _verdicts(judge, JudgedInput("input", None, None, image), releases)


def archive(data: bytes) -> None:
    """Each member of an archive, and a file that may be a damaged context."""
    path = Path(folder()) / "input"
    path.write_bytes(data)
    releases = some(TARGET_RELEASES, data, 1)
    judge = Judge(releases)
    for item in expand([str(path)]):
        if isinstance(item, Unreadable):
            raise item.error
        with suppress(XensaveError):
            _verdicts(judge, judged_input(item), releases)


def _verdicts(judge: Judge, subject: JudgedInput, releases: list[str]) -> None:
    for release in releases:
        verdict = judge.judge(subject, release)
        printable([verdict_line("input", release, verdict)])
        json.dumps(verdict_object("input", release, verdict))
