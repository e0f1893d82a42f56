"""The two sides of a graft, compiled, with their places put back to the patch's lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from xensave.errors import Malformed, UsageError
from xensave.findings import Place
from xensave.headers.trees.tree import MemoryTree
from xensave.review.alone.graft import Row
from xensave.review.alone.scan import CLOSE, OPEN
from xensave.review.alone.standin import PROLOGUE
from xensave.review.patches.patch import ADDED, REMOVED
from xensave.review.trees.sides import read_headers_of
from xensave.rules.numbers.model import Side

_FILE = "hvm/save.h"


def sides(rows: Sequence[Row], name: str, fallback: Place) -> tuple[Side, Side]:
    """Before and after. `name` is the release's, `fallback` a place for what no line shows.

    Raises UsageError where the lines of the patch do not suffice to lay out a struct.
    """
    before = [row for row in rows if row.kind != ADDED]
    after = [row for row in rows if row.kind != REMOVED]
    return (
        _side(before, name, fallback, lambda row: row.old),
        _side(after, f"{name} with the patch", fallback, lambda row: row.new),
    )


def _side(
    rows: list[Row], name: str, fallback: Place, place_of: Callable[[Row], Place | None]
) -> Side:
    text = PROLOGUE + "".join(f"{row.text}\n" for row in rows)
    try:
        side = read_headers_of(MemoryTree({_FILE: text}, name))
    except Malformed as error:
        reason = error.message.rsplit(": ", 1)[-1]
        raise UsageError(
            f"the patch's own lines do not suffice to lay out its structs on {name} "
            f"({reason}); give the tree that it is for with --tree"
        ) from error
    places = _places(rows, place_of)
    above = PROLOGUE.count("\n")

    def moved(place: Place) -> Place:
        row = (place.line or 0) - above - 1
        found = places[row] if 0 <= row < len(places) else None
        return found or fallback

    headers = side.headers
    return Side(
        replace(
            headers,
            records=tuple(replace(r, place=moved(r.place)) for r in headers.records),
            code_max_place=moved(headers.code_max_place) if headers.code_max_place else None,
            reservations=tuple(r._replace(place=moved(r.place)) for r in headers.reservations),
        ),
        {key: moved(place) for key, place in side.lines.items()},
    )


def _places(rows: list[Row], place_of: Callable[[Row], Place | None]) -> list[Place | None]:
    """A place for every row: its own, else the first line that the patch changes in its struct."""
    found = [place_of(row) for row in rows]
    start = None
    for index, row in enumerate(rows):
        if row.fact.kind == OPEN and row.fact.outer:
            start = index
        elif start is not None and row.fact.kind == CLOSE and row.fact.outer:
            block = range(start, index + 1)
            changed = [n for n in block if rows[n].kind in (ADDED, REMOVED) and found[n]]
            shown = changed or [n for n in block if found[n]]
            for n in block:
                found[n] = found[n] or (found[shown[0]] if shown else None)
            start = None
    return found
