"""A record's body by field names, for rules: decoding no more than they ask for."""

from __future__ import annotations

from functools import cache

from xensave.catalogue.model import Layout
from xensave.records.flat import locate

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
        """Returns the bytes of a member."""
        start, end, _, _ = self.places[path]
        return self.data[start:end]


class Places(dict[str, Place]):
    """(start, end, shift, mask) of a layout's fields by path, found when a rule first asks.

    >>> from xensave.catalogue import layout
    >>> found = places(layout("CPU.4"))
    >>> found["cr0"][:2], found["pending_type"]
    ((656, 664), (1017, 1018, 0, 7))
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._fields = layout.fields

    def __missing__(self, path: str) -> Place:
        field, start, size = locate(self._fields, path)
        shift, mask = 0, -1
        if field.bits is not None:
            shift, width = field.bits
            mask = (1 << width) - 1
        place = self[path] = (start, start + size, shift, mask)
        return place


@cache
def places(layout: Layout) -> Places:
    """Returns the places of a layout's fields, which every load of it shares."""
    return Places(layout)
