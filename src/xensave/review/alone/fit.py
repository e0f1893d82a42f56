"""Which release a patch fits: the one in which everything that its hunks show is there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xensave.errors import UsageError
from xensave.review.alone.graft import Misfit, Row, graft, rows_of
from xensave.review.alone.standin import standin
from xensave.review.patches.patch import ADDED, FilePatch
from xensave.review.trees.bases import Base, Bases


def fit(
    series: Sequence[Sequence[FilePatch]],
    bases: Bases,
    wanted: str | None = None,
    date: datetime | None = None,
) -> tuple[Base, list[str]]:
    """The release that a series of patches fits, and the lines of its stand-in.

    Of several, one that lacks what the series adds goes before one that has it, then the last
    from before the mail's date, then the newest. Raises UsageError where none fits, or the
    `wanted` one does not.
    """
    if wanted is not None:
        base = bases.named(wanted)
        lines = standin(base.release, bases.layouts(base.release.name))
        _grafted(rows_of(lines), series, base.release.name)
        return base, lines
    found = None
    reason = ""
    dated = set(bases.before(date)) if date else set(bases.names)
    for order, name in enumerate(bases.names):
        lines = standin(bases.release(name), bases.layouts(name))
        try:
            there = _grafted(rows_of(lines), series, name)
        except UsageError as error:
            if name in dated or not reason:
                reason = error.message
            continue
        rank = (-there, name in dated, order)
        if found is None or rank > found[0]:
            found = (rank, name, lines)
    if found is None:
        raise UsageError(f"the patch does not apply to any release; {reason}")
    why = "the last release before its date that it fits" if date else "the last that it fits"
    return bases.named(found[1], why), found[2]


def _grafted(rows: list[Row], series: Sequence[Sequence[FilePatch]], name: str) -> int:
    """How many facts the series adds that are there already. Raises UsageError for a misfit."""
    known = {(row.fact.kind, row.fact.name) for row in rows if row.fact.name}
    there = 0
    for patches in series:
        try:
            rows = graft(rows, patches)
        except Misfit as error:
            raise UsageError(f"on {name} it does not apply: {error.message}") from error
        gone = {(row.fact.kind, row.fact.name) for row in rows if row.kind not in (ADDED, " ")}
        there += sum(
            row.kind == ADDED and (row.fact.kind, row.fact.name) in known - gone
            for row in rows
            if row.fact.kind not in ("member", "open", "close")
        )
    return there
