"""The buffer that Xen walks: its cursor, and the check that an entry is what a handler expects."""

from __future__ import annotations

from xensave.container.streams.hvm import DESCRIPTOR

SIZE = DESCRIPTOR.size


class Mismatch(Exception):
    """The descriptor under the cursor is not one that a load of this record takes."""


class ContextCursor:
    """A context under a cursor, as hvm_domain_context_t; `data` is never copied as a whole.

    `whole_first` is how releases before `load.LENGTH_FIRST` checked an entry: they wanted room for
    the record's full struct before they looked at its length.
    """

    __slots__ = ("cursor", "data", "size", "whole_first")

    def __init__(self, data: bytes, *, whole_first: bool) -> None:
        self.data = data
        self.size = len(data)
        self.cursor = 0
        self.whole_first = whole_first

    @property
    def left(self) -> int:
        """Bytes from the cursor on."""
        return self.size - self.cursor

    def descriptor(self) -> tuple[int, int, int]:
        """Returns (typecode, instance, length) under the cursor; there must be SIZE bytes left."""
        typecode, instance, length = DESCRIPTOR.unpack_from(self.data, self.cursor)
        return typecode, instance, length

    def entry(self, typecode: int, length: int, *, strict: bool) -> bytes:
        """Takes the record under the cursor: the body of _hvm_check_entry and the read after it.

        Raises Mismatch with what was expected and what is there, and leaves the cursor.
        """
        if self.left < SIZE:
            raise Mismatch(f"{self.left} bytes are left, a descriptor takes {SIZE}")
        number, _, claimed = self.descriptor()
        room = self.left - SIZE
        if self.whole_first and length > room:
            raise Mismatch(f"the record takes {length} bytes, {room} are left")
        if number != typecode:
            raise Mismatch(f"expected typecode {typecode}, found {number}")
        if claimed != length if strict else claimed > length:
            wanted = f"{length}" if strict else f"at most {length}"
            raise Mismatch(f"its length is {claimed}, expected {wanted}")
        if claimed > room:
            raise Mismatch(f"its length is {claimed}, {room} bytes are left")
        return self.take(claimed)

    def take(self, length: int) -> bytes:
        """Takes a record of which `length` bytes are there."""
        start = self.cursor + SIZE
        self.cursor = start + length
        return self.data[start : self.cursor]

    def skip(self, length: int) -> None:
        """Steps over a descriptor and `length` bytes."""
        self.cursor += SIZE + length
