"""Which release a patch fits: the one in which everything that its hunks show is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from xensave.errors import UsageError
from xensave.review.alone.facts import WITHIN, Kind
from xensave.review.alone.graft import Misfit, graft
from xensave.review.alone.standin import Sheet, standin
from xensave.review.patches.patch import ADDED, REMOVED, FilePatch
from xensave.review.trees.bases import Base, Bases

_NEW = frozenset(Kind) - WITHIN - {Kind.CONDITION, Kind.INCLUDE, Kind.OTHER}


def fit(
    series: Sequence[Sequence[FilePatch]],
    bases: Bases,
    wanted: str | None = None,
    date: datetime | None = None,
) -> tuple[Base, Sheet]:
    """Returns the release that a series of patches fits, and its sheet, not touched yet.

    Of several, one that lacks what the series adds goes before one that has it, then the last
    from before the mail's date, then the newest. Raises UsageError where none fits, or the
    `wanted` one does not, or the lines of the patch do not suffice.
    """
    if wanted is not None:
        base = bases.named(wanted)
        sheet = standin(base.release)
        _there(sheet, series, base.release.name)
        return base, sheet
    best: tuple[int, str, Sheet] | None = None
    reason = ""
    for name in _preferred(bases, date):
        sheet = standin(bases.release(name))
        try:
            there = _there(sheet, series, name)
        except Misfit as error:
            reason = reason or error.message
            continue
        if best is None or there < best[0]:
            best = there, name, sheet
        if there == 0:
            break
    if best is None:
        raise UsageError(f"the patch does not apply to any release; {reason}")
    why = "the last release before its date that it fits" if date else "the last that it fits"
    dated = bases.before(date) if date else []
    if dated and best[1] not in dated:
        # What it changes came after that release: guests were saved by those before its date.
        known = bases.named(dated[-1])
        base = bases.named(best[1], "none before its date fits")
        return base._replace(past=known.past, saved=known.saved), best[2]
    return bases.named(best[1], why), best[2]


def _preferred(bases: Bases, date: datetime | None) -> Iterator[str]:
    """The releases from before the date, the newest first, and then the others."""
    dated = bases.before(date) if date else list(bases.names)
    yield from reversed(dated)
    yield from (name for name in reversed(bases.names) if name not in dated)


def _there(sheet: Sheet, series: Sequence[Sequence[FilePatch]], name: str) -> int:
    """How many facts the series adds that are there already. Raises Misfit for one it lacks."""
    known = {(row.fact.kind, row.fact.name) for row in sheet.outer if row.fact.name}
    there = 0
    for patches in series:
        try:
            sheet = graft(sheet, patches)
        except Misfit as error:
            raise Misfit(f"on {name} it does not apply: {error.message}") from error
        gone = {(row.fact.kind, row.fact.name) for row in sheet.outer if row.kind == REMOVED}
        there += sum(
            row.kind == ADDED and (row.fact.kind, row.fact.name) in known - gone
            for row in sheet.outer
            if row.fact.kind in _NEW
        )
    return there
