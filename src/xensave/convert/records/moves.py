"""From one layout of a record to another: which bytes go where, and which have no home.

Fields are matched by name, down to the members of structs of different size; a field that was
renamed and kept its place and size is matched by those. What is left over in the older or smaller
struct has no home: `Homeless` names it, so that its value can be told before it is lost.

>>> from xensave.catalogue import layout
>>> down = moves(layout("RTC.2"), layout("RTC.1"))
>>> [field.path for field in down.homeless]
['rtc_offset']
>>> moves(layout("CPU.2"), layout("CPU.4")).homeless
()
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.convert.records.fixups import DIFFERENT
from xensave.records.pairs import pair

PADDING = ("pad", "_pad", "rsvd", "_rsvd", "reserved")


class Move(NamedTuple):
    """`size` bytes from one offset to another."""

    source: int
    target: int
    size: int


class Homeless(NamedTuple):
    """Bytes of the source that the target has no place for, and the field they belong to."""

    path: str
    offset: int
    size: int

    def of(self, body: bytes) -> bytes:
        """Returns these bytes of a body."""
        return body[self.offset : self.offset + self.size]


class Moves(NamedTuple):
    """How one layout becomes another; `new` are the target's fields that the source lacks."""

    moves: tuple[Move, ...]
    homeless: tuple[Homeless, ...]
    new: tuple[str, ...]

    def apply(self, body: bytes, size: int) -> bytearray:
        """Returns a body of `size` bytes: what moves, moved; the rest zero."""
        made = bytearray(size)
        for source, target, count in self.moves:
            part = body[source : source + count]
            made[target : target + len(part)] = part
        return made


@cache
def moves(source: Layout, target: Layout, *, by_place: bool = True) -> Moves:
    """Matches the fields of two layouts of a record.

    Without `by_place` names alone count: two structs that were not made from one another may
    have fields of one size at one place that mean different things.
    """
    parts = _match(source.fields, target.fields, 0, 0, "", by_place=by_place)
    return Moves(
        tuple(part for part in parts if isinstance(part, Move)),
        tuple(part for part in parts if isinstance(part, Homeless)),
        tuple(part for part in parts if isinstance(part, str)),
    )


def key_of(field: Field) -> str:
    """Returns a field's name; an anonymous member goes by its first named one."""
    if field.name or not field.fields:
        return field.name
    return key_of(field.fields[0])


_Part = Move | Homeless | str


def _match(
    source: tuple[Field, ...],
    target: tuple[Field, ...],
    at: int,
    to: int,
    path: str,
    *,
    by_place: bool,
) -> list[_Part]:
    parts: list[_Part] = []
    place = _place if by_place else lambda _: None
    pairs = pair(source, target, name=key_of, place=place, alike=_alike)
    there = {key_of(field): field for field in target}
    for field in source:
        name = path + key_of(field)
        other = there.get(key_of(field)) or next(
            (new for old, new in pairs.renamed if old is field), None
        )
        if other is None:
            parts.append(Homeless(name, at + field.offset, field.size))
        else:
            start, goal = at + field.offset, to + other.offset
            parts += _pair(field, other, start, goal, name, by_place=by_place)
    return [*parts, *(path + key_of(field) for field in pairs.added)]


def _place(field: Field) -> tuple[object, ...]:
    """Returns what two fields share where one took the other's place: padding takes padding's."""
    return field.offset, field.size, field.dims, field.name.startswith(PADDING)


def _alike(old: Field, new: Field) -> bool:
    return (old.name, new.name) not in DIFFERENT


def _pair(
    field: Field, other: Field, at: int, to: int, path: str, *, by_place: bool
) -> Iterator[_Part]:
    """Moves one field to its namesake: whole, by members, or as much of it as fits."""
    size = min(field.size, other.size)
    if field.size != other.size and field.fields and other.fields and not field.dims:
        yield from _match(field.fields, other.fields, at, to, f"{path}.", by_place=by_place)
        return
    if size:
        yield Move(at, to, size)
    if field.size > size:
        yield Homeless(path, at + size, field.size - size)
