"""All that changed for a saved guest between two releases, from every table of the package.

Records and layouts, how they load, the rules of hypervisor and toolstack that begin and end, CPU
policies, the versions of streams, and the numbers of the other spaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from xensave import catalogue
from xensave.catalogue.dates import Dated, Version, in_force
from xensave.catalogue.model import Binding, Release
from xensave.catalogue.points import asked_for
from xensave.engine.handlers import table
from xensave.engine.loop.body import Body
from xensave.engine.loop.rule import HandlerRule
from xensave.engine.pv import judge as pv
from xensave.engine.pv.rule import MemoryRule, PvRule
from xensave.numbers.changes import changes
from xensave.policy.limits import DIFFERENCES
from xensave.policy.steps import clamp
from xensave.toolstack.libxc import param_rules
from xensave.toolstack.restore import DATED, RULES
from xensave.toolstack.rule import RestoreRule, target_of

_LOADS = {
    "exact": "of just its length",
    "zeroextend": "with zeroes behind a shorter one",
    "own": "by a check of its handler's own",
}


class ReleaseDifference(NamedTuple):
    """One thing that changed: what kind of thing, which, how, and the commit where it is known."""

    kind: str
    subject: str
    text: str
    cite: str = ""


def compare(old: str, new: str) -> list[ReleaseDifference]:
    """Returns what changed from one release to another, and within each that is a series.

    A series has what its newest point release has; what came on the way there is of kind "point".

    >>> [each.subject for each in compare("4.16", "4.17") if each.kind == "record"]
    []
    >>> [each.text for each in compare("4.13", "4.14") if each.subject == "RTC"][0]
    '16 to 24 bytes: rtc_offset appended at 16, 8 bytes'
    """
    a, b = target_of(old), target_of(new)
    return [
        *_records(a.release, b.release),
        *_framing(a.release, b.release),
        *_rules(a.version, b.version),
        *_numbers(a.release.name, b.release.name),
        *(each for name in (old, new) if old != new for each in _points(name)),
    ]


def _points(name: str) -> Iterator[ReleaseDifference]:
    """Yields what changed between the point releases of a series."""
    for older, newer in pairwise(asked_for(name)):
        a, b = target_of(older), target_of(newer)
        for each in (*_records(a.release, b.release), *_rules(a.version, b.version)):
            yield ReleaseDifference(
                "point", each.subject, f"from {newer} on {each.text}", each.cite
            )


def _records(old: Release, new: Release) -> Iterator[ReleaseDifference]:
    codes = sorted({b.typecode for b in (*old.bindings, *new.bindings)})
    for code in codes:
        before, after = old.binding(code), new.binding(code)
        if before is None and after is not None:
            yield ReleaseDifference("record", after.name, f"new, number {code}, {after.size} bytes")
        elif before is not None and after is None:
            yield ReleaseDifference("record", before.name, f"gone, number {code}")
        elif before is not None and after is not None:
            yield from _record(before, after)


def _record(before: Binding, after: Binding) -> Iterator[ReleaseDifference]:
    name = after.name
    if before.name != name:
        yield ReleaseDifference("record", name, f"was called {before.name}")
    if before.layout != after.layout:
        old, new = catalogue.layout(before.layout), catalogue.layout(after.layout)
        details = "; ".join(map(str, changes(old, new)))
        sizes = f"{old.size} to {new.size} bytes" if old.size != new.size else f"{new.size} bytes"
        cited = max((old, new), key=lambda each: int(each.id.rpartition(".")[2])).introduced
        commit = f'{cited.commit} "{cited.subject}"' if cited else ""
        yield ReleaseDifference("layout", name, f"{sizes}: {details}", commit)
    if before.load != after.load:
        text = f"loads {_LOADS[after.load]}, before {_LOADS[before.load]}"
        yield ReleaseDifference("load", name, text)
    if before.kind != after.kind:
        yield ReleaseDifference("load", name, f"per {after.kind}, before per {before.kind}")
    if before.compat != after.compat:
        text = f"converts {after.compat} on load" if after.compat else f"no more {before.compat}"
        yield ReleaseDifference("load", name, text)
    if bool(before.check) != bool(after.check):
        text = f"checked first, by {after.check}" if after.check else "checked first no more"
        yield ReleaseDifference("check", name, text)


def _framing(old: Release, new: Release) -> Iterator[ReleaseDifference]:
    for kind, subject, before, after in (
        ("number", "HVM_SAVE_CODE_MAX", old.code_max, new.code_max),
        ("number", "handler table entry", f"{old.entry_size} bytes", f"{new.entry_size} bytes"),
        ("check", "check pass before any load", _yes(old.check_pass), _yes(new.check_pass)),
        ("stream", "libxc stream written", _stream(old.stream_write), _stream(new.stream_write)),
        ("stream", "libxc streams read", _streams(old.stream_read), _streams(new.stream_read)),
    ):
        if before != after:
            yield ReleaseDifference(kind, subject, f"{after}, before {before}")
    had = {(r.first, r.last, r.owner) for r in old.reservations}
    for reservation in new.reservations:
        if (reservation.first, reservation.last, reservation.owner) not in had:
            yield ReleaseDifference("number", str(reservation), f"reserved for {reservation.owner}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _stream(number: int) -> str:
    return f"version {number}" if number else "legacy"


def _streams(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers)) or "legacy"


_Row: TypeAlias = (
    "Dated | HandlerRule[Body] | PvRule | MemoryRule | RestoreRule | param_rules.Period"
)


def _rows() -> Iterator[tuple[str, str, str, _Row]]:
    """Every dated row there is: kind, subject, text and the row."""
    for row in (*table.DATED, *pv.DATED):
        yield "load", row.record or row.id, row.sentence, row
    for rule in table.RULES:
        yield rule.stage, rule.record, f"{rule.sentence} ({rule.errno}, {rule.id})", rule
    for each in pv.RULES:
        yield "load", each.record, f"{each.sentence} ({each.id})", each
    for dated in DATED:
        yield "toolstack", dated.record, dated.sentence, dated
    for refusal in RULES:
        yield "toolstack", refusal.record, f"{refusal.says} ({refusal.id})", refusal
    for param in param_rules.RULES:
        for period in param.periods:
            text = f"{param.says}: {', '.join(period.names)} ({param.id})"
            yield "toolstack", "HVM_PARAMS", text, period
    for room in (*DIFFERENCES, *clamp.DIFFERENCES):
        yield "policy", room.record, room.sentence, room


def _rules(old: Version, new: Version) -> Iterator[ReleaseDifference]:
    for kind, subject, text, row in _rows():
        before, after = (in_force(row.since, row.until, at) for at in (old, new))
        if before != after:
            cite = row.cite
            commit = f'{cite.commit} "{cite.subject}"' if cite.commit else ""
            yield ReleaseDifference(kind, subject, text if after else f"no more: {text}", commit)


def _numbers(old: str, new: str) -> Iterator[ReleaseDifference]:
    for name in catalogue.space_names():
        space = catalogue.space(name)
        before = {n.number: n.name for n in catalogue.numbers_of(name, old)}
        after = {n.number: n.name for n in catalogue.numbers_of(name, new)}
        for number in sorted({*before, *after}):
            was, now = before.get(number), after.get(number)
            if was == now:
                continue
            text = f"new, {number}" if was is None else f"gone, was {number}"
            if was is not None and now is not None:
                text = f"was {was}, {number}"
            yield ReleaseDifference(name, now or was or "", text)
        for word, values in (("limit", space.limits), ("interface version", space.versions)):
            result, other = dict(values).get(old), dict(values).get(new)
            if result != other and None not in (result, other):
                yield ReleaseDifference(name, word, f"{other}, before {result}")
