"""Two layouts of a record, field by field: what stays, moves, comes and goes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby
from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.records.pairs import pair
from xensave.rules.numbers.layouts.leaves import AbiField, abi_fields, is_filler

_MOST_NAMES = 3


class Shift(NamedTuple):
    """Fields that move by the same distance, and the new fields before them that push them."""

    moved: tuple[tuple[AbiField, AbiField], ...]
    inserted: tuple[AbiField, ...]

    def __str__(self) -> str:
        names = [new.path for _, new in self.moved]
        old, new = self.moved[0]
        way = f"from {_spot(old)} to {_spot(new)}"
        if len(names) == 1:
            return f"{names[0]} moves {way}"
        shown = names[:_MOST_NAMES]
        if len(names) > _MOST_NAMES:
            shown[-1:] = [f"{len(names) - _MOST_NAMES + 1} more"]
        return f"{', '.join(shown[:-1])} and {shown[-1]} move, {names[0]} {way}"


class LayoutComparison(NamedTuple):
    """`same` are the fields of one name, `renamed` those of one place; `gone` and `fresh` the rest.

    A renamed field is in `gone` and `fresh` too. Fields without a name count as none.
    """

    same: tuple[tuple[AbiField, AbiField], ...]
    renamed: tuple[tuple[AbiField, AbiField], ...]
    gone: tuple[AbiField, ...]
    fresh: tuple[AbiField, ...]
    shifts: tuple[Shift, ...]

    @property
    def alike(self) -> bool:
        """Whether every field keeps its name, place and shape."""
        changed = any(old.shape != new.shape for old, new in self.same)
        return not (self.gone or self.fresh or self.shifts or changed)


def compare(
    old: Layout,
    new: Layout,
    old_types: Mapping[str, str] | None = None,
    new_types: Mapping[str, str] | None = None,
) -> LayoutComparison:
    """Compares two layouts. The types are canonical ones by path, where they are known."""
    before = [leaf for leaf in abi_fields(old, old_types) if leaf.named]
    after = [leaf for leaf in abi_fields(new, new_types) if leaf.named]
    pairs = pair(before, after, name=lambda leaf: leaf.path, place=_place)
    free = [*pairs.gone, *(leaf for leaf in before if is_filler(leaf))]
    added = _outside(pairs.fresh, free)
    order = {leaf.path: number for number, leaf in enumerate(after)}
    return LayoutComparison(*pairs, tuple(_shifts(pairs.same, order, added)))


def _place(leaf: AbiField) -> tuple[int, ...] | None:
    return None if is_filler(leaf) else leaf.place


def _outside(fields: Iterable[AbiField], others: Iterable[AbiField]) -> list[AbiField]:
    """The fields of which no other one has all the bits."""
    ordered = sorted(others, key=lambda leaf: leaf.start)
    starts = [leaf.start for leaf in ordered]
    # How far any of those reaches that begin up to here, so that each field is looked up once.
    stops = [-1, *accumulate((leaf.stop for leaf in ordered), max)]
    return [leaf for leaf in fields if stops[bisect_right(starts, leaf.start)] < leaf.stop]


def _shifts(
    same: Iterable[tuple[AbiField, AbiField]], order: Mapping[str, int], added: list[AbiField]
) -> Iterator[Shift]:
    """Runs of fields that move alike, in the new order, each with what was added before it."""
    waiting = iter([*sorted(added, key=lambda leaf: order[leaf.path]), None])
    upcoming = next(waiting)
    pushed = 0
    moves = ((old, new) for old, new in same if not is_filler(new))
    for distance, run in groupby(moves, key=lambda pair: pair[1].start - pair[0].start):
        moved = tuple(run)
        inserted = []
        while upcoming is not None and order[upcoming.path] < order[moved[0][1].path]:
            inserted.append(upcoming)
            upcoming = next(waiting)
        if distance:
            yield Shift(moved, tuple(inserted) if distance > pushed else ())
        pushed = distance


def _spot(leaf: AbiField) -> str:
    return f"offset {leaf.offset}" + (f" bit {leaf.bits[0]}" if leaf.bits else "")
