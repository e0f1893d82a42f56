"""What differs between two layouts of a record, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue.model import Field, Layout
from xensave.records import flat
from xensave.records.pairs import pair

ChangeKind: TypeAlias = Literal[
    "appended",
    "added",
    "removed",
    "moved",
    "resized",
    "renamed",
    "changed inside",
]
APPENDED: Final = "appended"
ADDED: Final = "added"
REMOVED: Final = "removed"
MOVED: Final = "moved"
RESIZED: Final = "resized"
RENAMED: Final = "renamed"
# The members of an array's element changed, and neither its place nor its size did.
CHANGED: Final = "changed inside"


class FieldExtent(NamedTuple):
    """A field that holds a value: its place in bytes, its bits, the elements of its array."""

    path: str
    offset: int
    size: int
    bits: tuple[int, int] | None
    elements: int
    inner: tuple[FieldExtent, ...] = ()

    @property
    def place(self) -> tuple[object, ...]:
        """Where it lies, whatever it is called."""
        return (
            self.offset,
            self.size,
            self.bits,
            self.elements,
            *(leaf.place for leaf in self.inner),
        )


class FieldChange(NamedTuple):
    """One difference: `kind` as above, the field's path, and where it lies before and after."""

    kind: ChangeKind
    path: str
    before: FieldExtent | None
    after: FieldExtent | None

    def __str__(self) -> str:
        where = self.after or self.before
        at = f" at {where.offset}" if where else ""
        match self.before, self.after:
            case FieldExtent() as old, FieldExtent() as new if self.kind == RENAMED:
                return f"{old.path} renamed {new.path}{at}"
            case FieldExtent() as old, FieldExtent() as new if self.kind == MOVED:
                return f"{self.path} moved from {old.offset} to {new.offset}"
            case FieldExtent() as old, FieldExtent() as new if self.kind == RESIZED:
                return f"{self.path} {self.kind}{at}, {_extent(old)} to {_extent(new)}"
            case old, new:
                only = None if old and new else new or old
                return f"{self.path} {self.kind}{at}" + (f", {_extent(only)}" if only else "")


def extents(fields: tuple[Field, ...]) -> Iterator[FieldExtent]:
    """Yields the fields that hold values, structs and unions opened.

    An array of structs stays one.
    """
    for field, path, offset, _ in flat.leaves(fields, into_arrays=False):
        inner = tuple(extents(field.fields))
        yield FieldExtent(path, offset, field.size, field.bits, prod(field.dims), inner)


def changes(old: Layout, new: Layout) -> tuple[FieldChange, ...]:
    """Returns what a reader of `old` finds changed in `new`, in order of offset.

    A field beyond the old size, or in the padding at its end, is APPENDED; one that takes another
    field's place under a new name is RENAMED. Types of the same size are not told apart.

    >>> from xensave.catalogue import layout
    >>> [str(change) for change in changes(layout("RTC.1"), layout("RTC.2"))]
    ['rtc_offset appended at 16, 8 bytes']
    """
    before = list(extents(old.fields))
    pairs = pair(
        before, extents(new.fields), name=lambda leaf: leaf.path, place=lambda leaf: leaf.place
    )
    end = max((leaf.offset + leaf.size for leaf in before), default=0)
    differences = [_changed(*both) for both in pairs.same]
    differences += [FieldChange(RENAMED, now.path, was, now) for was, now in pairs.renamed]
    differences += [
        FieldChange(APPENDED if leaf.offset >= end else ADDED, leaf.path, None, leaf)
        for leaf in pairs.added
    ]
    differences += [FieldChange(REMOVED, leaf.path, leaf, None) for leaf in pairs.removed]
    return tuple(sorted((change for change in differences if change is not None), key=_order))


def only_grown(old: Layout, new: Layout) -> bool:
    """Tells whether the new layout is the old one with fields behind it: a prefix of it reads."""
    return new.size > old.size and all(
        change.kind in (APPENDED, RENAMED) for change in changes(old, new)
    )


def same_wire(old: Layout, new: Layout) -> bool:
    """Tells whether both put the same values at the same places, whatever the fields are called."""
    return (old.size, old.flexible) == (new.size, new.flexible) and all(
        change.kind == RENAMED for change in changes(old, new)
    )


def _changed(old: FieldExtent, new: FieldExtent) -> FieldChange | None:
    if old.place == new.place:
        return None
    if (old.size, old.bits, old.elements) != (new.size, new.bits, new.elements):
        return FieldChange(RESIZED, new.path, old, new)
    return FieldChange(MOVED if old.offset != new.offset else CHANGED, new.path, old, new)


def _order(change: FieldChange) -> tuple[int, str]:
    leaf = change.after or change.before
    return (leaf.offset if leaf else 0, change.path)


def _extent(leaf: FieldExtent) -> str:
    if leaf.bits:
        return f"{leaf.bits[1]} bit{'s' if leaf.bits[1] != 1 else ''}"
    return f"{leaf.size} byte{'s' if leaf.size != 1 else ''}"
