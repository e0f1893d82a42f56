"""The walk over a layout's fields: each member with its path, its offset and what it lies in.

Who compares, prints, compiles or addresses fields walks here, so that an anonymous union, an array
of structs and a bit-field mean the same everywhere.

>>> from xensave.catalogue import layout
>>> [(place.path, place.offset) for place in leaves(layout("RTC.2").fields)][-2:]
[('pad0', 15), ('rtc_offset', 16)]
"""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from xensave.catalogue.model import Field

_WORDS = {"8": 1, "16": 2, "32": 4, "64": 8, "char": 1, "bool": 1, "short": 2, "long": 8}
_STEP = re.compile(r"([^.\[\]]+)((?:\[\d+\])*)(?:\.|$)")


class FieldPlace(NamedTuple):
    """A field in its record: `offset` is that of its first element from the record's start.

    `path` names it without indices ("channels.mode"); an anonymous member has its parent's.
    `parents` are the structs and unions around it, the outermost first.
    """

    field: Field
    path: str
    offset: int
    parents: tuple[Field, ...] = ()


def walk(fields: tuple[Field, ...], *, into_arrays: bool = True) -> Iterator[FieldPlace]:
    """Yields every field, a struct or union before its members, in the order of the declaration.

    The members of an array of structs come once, at the place of its first element; without
    `into_arrays` they do not come.
    """
    return _walk(fields, FieldPlace(Field("", "", 0, 0), "", 0), into_arrays)


def _walk(fields: tuple[Field, ...], within: FieldPlace, into_arrays: bool) -> Iterator[FieldPlace]:
    for field in fields:
        path = ".".join(name for name in (within.path, field.name) if name)
        place = FieldPlace(field, path, within.offset + field.offset, within.parents)
        yield place
        if field.fields and (into_arrays or not field.dims):
            inside = place._replace(parents=(*within.parents, field))
            yield from _walk(field.fields, inside, into_arrays)


def leaves(fields: tuple[Field, ...], *, into_arrays: bool = True) -> Iterator[FieldPlace]:
    """Yields the fields that are not opened further: those that hold a value."""
    for place in walk(fields, into_arrays=into_arrays):
        if not place.field.fields or (place.field.dims and not into_arrays):
            yield place


def members(fields: tuple[Field, ...], base: int = 0) -> Iterator[tuple[Field, int]]:
    """Yields the named members of one struct with their offsets.

    Those of an anonymous struct or union are their parent's, as in C.
    """
    for field in fields:
        if field.name:
            yield field, base + field.offset
        else:
            yield from members(field.fields, base + field.offset)


def written(fields: tuple[Field, ...]) -> list[Field]:
    """Returns the named members that a value is written by: of an anonymous union the first's.

    >>> from xensave.catalogue import layout
    >>> [field.name for field in written(layout("PCI_IRQ.1").fields)]
    ['i']
    """
    result: list[Field] = []
    for field in fields:
        if field.name:
            result.append(field)
        else:
            result += written_inside(field)
    return result


def written_inside(field: Field) -> list[Field]:
    """Returns the members that a struct is written by; of a union the first one's."""
    return written(field.fields[:1] if field.union else field.fields)


def reached(fields: tuple[Field, ...], length: int) -> tuple[Field, ...]:
    """Returns the fields that begin within so many bytes of a struct.

    >>> from xensave.catalogue import layout
    >>> [field.name for field in reached(layout("TSC_ADJUST.1").fields, 8)]
    ['tsc_adjust']
    >>> reached(layout("TSC_ADJUST.1").fields, 0)
    ()
    """
    return tuple(field for field in fields if field.offset < length or not field.size)


class Extent(NamedTuple):
    """Where a path leads: a field, or an element of its array, and its bytes in the record."""

    field: Field
    start: int
    size: int


def locate(fields: tuple[Field, ...], path: str) -> Extent:
    """Returns the bytes of a field by its path; KeyError where there is none.

    >>> from xensave.catalogue import layout
    >>> locate(layout("PIT.1").fields, "channels[1].mode")[1:]
    (29, 1)
    """
    extent = Extent(Field("", "", 0, 0, fields=fields), 0, 0)
    steps = list(_STEP.finditer(path))
    if not steps or steps[-1].end() != len(path):
        raise KeyError(path)
    for step in steps:
        name, indices = step.groups()
        for field, offset in members(extent.field.fields):
            if field.name == name:
                extent = Extent(field, extent.start + offset, field.size)
                break
        else:
            raise KeyError(path)
        for index in re.findall(r"\d+", indices):
            extent = _element(extent, int(index), path)
    return extent


def _element(extent: Extent, index: int, path: str) -> Extent:
    dims = extent.field.dims
    if not dims or index >= dims[0]:
        raise KeyError(path)
    size = extent.size // dims[0]
    element = extent.field._replace(dims=dims[1:], size=size)
    return Extent(element, extent.start + index * size, size)


def first_beyond(fields: tuple[Field, ...], length: int, base: int = 0) -> str:
    """Returns the path of the first field or element that does not end within `length` bytes.

    >>> from xensave.catalogue import layout
    >>> first_beyond(layout("PIT.1").fields, 30)
    'channels[1].bcd'
    """
    for field in fields:
        start = base + field.offset
        if not field.size or start + field.size <= length:
            continue
        indices = ""
        unit = field.size
        for count in field.dims:
            unit //= count or 1
            index = min(max(0, length - start) // unit, count - 1)
            indices += f"[{index}]"
            start += index * unit
        inner = first_beyond(field.fields, length, start)
        return ".".join(part for part in (field.name + indices, inner) if part)
    return ""


def element_size(field: Field) -> int:
    """Returns the size in bytes of one element of a field; a scalar's own size."""
    count = prod(field.dims)
    if count:
        return field.size // count
    if not field.fields:
        return next((size for word, size in _WORDS.items() if word in field.type), 4)
    end = max((member.offset + member.size for member in field.fields), default=0)
    align = max((_alignment(member) for member in field.fields), default=1)
    return -(-end // align) * align


def _alignment(field: Field) -> int:
    if field.fields:
        return max(_alignment(member) for member in field.fields)
    return element_size(field)
