"""The leaves of a compiled layout: integers, bit-fields and arrays of them.

Every node has `read(buffer, at)`, which trusts its caller that the bytes are there, and
`write(buffer, at, value, path)`, which checks the value.
"""

from __future__ import annotations

import struct
from typing import Protocol

from xensave.errors import UsageError
from xensave.records.values import Value

Buffer = bytes | bytearray | memoryview

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Node(Protocol):
    """A type of the layout, at whatever offset it is used."""

    size: int

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the value whose first byte is at `at`."""
        ...

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts a value there; UsageError where it does not fit its type."""
        ...


class Integer:
    """A little-endian integer of 1, 2, 4 or 8 bytes."""

    __slots__ = ("code", "form", "high", "low", "size")

    def __init__(self, size: int, signed: bool) -> None:
        self.size = size
        self.code = _CODES[size].lower() if signed else _CODES[size]
        self.form = struct.Struct("<" + self.code)
        self.low = -(1 << (8 * size - 1)) if signed else 0
        self.high = self.low + (1 << 8 * size) - 1

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the integer."""
        number: int = self.form.unpack_from(buffer, at)[0]
        return number

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts the integer, which must be in the type's range."""
        self.form.pack_into(buffer, at, in_range(value, self.low, self.high, path))


class Bits:
    """A bit-field: `width` bits at `shift` within an unsigned integer of `size` bytes."""

    __slots__ = ("mask", "shift", "size")

    def __init__(self, size: int, shift: int, width: int) -> None:
        self.size = size
        self.shift = shift
        self.mask = (1 << width) - 1

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the bits as an unsigned integer."""
        unit = int.from_bytes(buffer[at : at + self.size], "little")
        return (unit >> self.shift) & self.mask

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts the bits and leaves their neighbours."""
        number = in_range(value, 0, self.mask, path)
        unit = int.from_bytes(buffer[at : at + self.size], "little")
        unit = (unit & ~(self.mask << self.shift)) | (number << self.shift)
        buffer[at : at + self.size] = unit.to_bytes(self.size, "little")


class Octets:
    """An array of 8-bit integers, or a type that is none of ours: bytes as they are."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the bytes."""
        return bytes(buffer[at : at + self.size])

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts the bytes, which must be as many.

        Raises UsageError for a value that does not fit.
        """
        if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) != self.size:
            raise UsageError(f"{path} takes {self.size} bytes")
        buffer[at : at + self.size] = value


class Integers:
    """An array of integers of more than 8 bits."""

    __slots__ = ("count", "element", "form", "size")

    def __init__(self, element: Integer, count: int) -> None:
        self.element = element
        self.count = count
        self.size = element.size * count
        self.form = struct.Struct(f"<{count}{element.code}")

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the integers as a list."""
        return list(self.form.unpack_from(buffer, at))

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts the integers, which must be as many."""
        element = self.element
        numbers = [
            in_range(item, element.low, element.high, f"{path}[{index}]")
            for index, item in enumerate(items(value, self.count, path))
        ]
        self.form.pack_into(buffer, at, *numbers)


def in_range(value: Value, low: int, high: int, path: str) -> int:
    """Returns value, an integer from low to high; UsageError where it is not."""
    if not isinstance(value, int) or not low <= value <= high:
        shown = f"{value:#x}" if isinstance(value, int) else repr(value)[:40]
        raise UsageError(f"{path} takes an integer from {low:#x} to {high:#x}, not {shown}")
    return value


def items(value: Value, count: int, path: str) -> list[Value]:
    """Returns value, a list of `count`; UsageError where it is not."""
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise UsageError(f"{path} takes a list of {count}")
    return list(value)
