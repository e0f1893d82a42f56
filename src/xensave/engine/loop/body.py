"""A record's body by field names, for rules: decoding no more than they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from xensave.catalogue.model import Field, Layout

Place = tuple[int, int, int, int]


class Body:
    """The bytes of a record, zero-extended to its struct, as its handler sees them.

    `body["cr0"]` is an integer; arrays of structs are reached as `body["channels[1].gate"]`,
    arrays of bytes as the integer of all their bytes. `instance` is the descriptor's, `length`
    what the descriptor claimed, `data` the bytes.
    """

    __slots__ = ("data", "instance", "length", "places")

    def __init__(self, data: bytes, places: dict[str, Place], instance: int, length: int) -> None:
        self.data = data
        self.places = places
        self.instance = instance
        self.length = length

    def __getitem__(self, path: str) -> int:
        start, end, shift, mask = self.places[path]
        value = int.from_bytes(self.data[start:end], "little")
        return value if mask < 0 else value >> shift & mask

    def octets(self, path: str) -> bytes:
        """Return the bytes of a member."""
        start, end, _, _ = self.places[path]
        return self.data[start:end]


@cache
def places(found: Layout) -> dict[str, Place]:
    """Return (start, end, shift, mask) of each field of a layout, by path.

    >>> from xensave.catalogue import layout
    >>> places(layout("CPU.4"))["cr0"][:2], places(layout("CPU.4"))["pending_type"]
    ((656, 664), (1017, 1018, 0, 7))
    """
    return dict(_walk(found.fields, 0, ""))


def _walk(fields: tuple[Field, ...], base: int, prefix: str) -> Iterator[tuple[str, Place]]:
    for field in fields:
        start = base + field.offset
        path = prefix + field.name
        if field.bits is not None:
            shift, width = field.bits
            yield path, (start, start + field.size, shift, (1 << width) - 1)
            continue
        if field.name:
            yield path, (start, start + field.size, 0, -1)
        count = field.dims[0] if field.dims else 1
        for index in range(count if field.fields or field.dims else 0):
            unit = field.size // count
            element = f"{path}[{index}]" if field.dims else path
            at = start + index * unit
            if field.dims:
                yield element, (at, at + unit, 0, -1)
            yield from _walk(field.fields, at, f"{element}." if field.name else prefix)
