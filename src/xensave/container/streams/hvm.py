"""The HVM context: descriptors, each followed by its record, from HEADER (1) to END (0).

A descriptor is a 16-bit typecode, a 16-bit instance (the vCPU's number in a record per vCPU) and
a 32-bit length. Nothing is aligned or padded. Source: struct hvm_save_descriptor and HVM_SAVE_*
in xen/include/public/hvm/save.h, since Xen 3.1.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from xensave.container.events import CONTEXT, HVM, Event
from xensave.container.format import Format
from xensave.errors import Truncated
from xensave.source import MemorySource, Source, read_all

DESCRIPTOR = struct.Struct("<HHI")
END_TYPECODE = 0
HEADER_TYPECODE = 1
HEADER_BODY = struct.Struct("<IIQII")
"""HEADER: magic, version, changeset, leaf 1's EAX of the saver, kHz of the guest's TSC."""
HEADER_SIZE = HEADER_BODY.size
HEADER_MAGIC = 0x54381286
HEADER_VERSION = 1

_LONG = 1 << 18
"""The keys of a longer context are remembered: one of 128 vCPUs is hardly as long."""


class Entry(NamedTuple):
    """A descriptor and the bytes of its record; `offset` is the descriptor's in the context."""

    typecode: int
    instance: int
    body: bytes | memoryview
    offset: int = 0

    def to_bytes(self) -> bytes:
        """Returns the descriptor and the record."""
        return DESCRIPTOR.pack(self.typecode, self.instance, len(self.body)) + self.body

    @property
    def label(self) -> str:
        """The typecode and instance, for messages: "typecode 2[0]"."""
        return f"typecode {self.typecode}[{self.instance}]"


class RawContext(NamedTuple):
    """A context as entries (END is the last) and what followed END."""

    entries: list[Entry]
    tail: bytes = b""

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "RawContext":
        """Splits a context. Raises Truncated where a record or END is missing."""
        entries = list(iterate(data))
        last = entries[-1]
        return cls(entries, bytes(data[last.offset + DESCRIPTOR.size + len(last.body) :]))

    def to_bytes(self) -> bytes:
        """Returns the context again, byte for byte."""
        return pack_entries(self.entries) + self.tail


def iterate(data: bytes | memoryview, *, end_bare: bool = False) -> Iterator[Entry]:
    """Yields entries up to END. Raises Truncated where the next one is not all there.

    `end_bare` takes no body of END, whatever length it claims, as hvm_load() does.

    >>> [(entry.typecode, entry.offset) for entry in iterate(bytes([3, 0, 0, 0, 1, 0, 0, 0, 9])
    ...                                                      + bytes(8))]
    [(3, 0), (0, 9)]
    """
    view = memoryview(data)
    size = len(view)
    at = 0
    while True:
        if at + DESCRIPTOR.size > size:
            raise _missing("a descriptor, or END,", DESCRIPTOR.size, size - at, at)
        typecode, instance, length = DESCRIPTOR.unpack_from(view, at)
        start = at + DESCRIPTOR.size
        if end_bare and typecode == END_TYPECODE:
            length = 0
        if length > size - start:
            raise _missing(f"typecode {typecode}[{instance}]", length, size - start, at)
        yield Entry(typecode, instance, view[start : start + length], at)
        if typecode == END_TYPECODE:
            return
        at = start + length


def keys_of(data: bytes) -> dict[tuple[int, int], None]:
    """Returns each typecode and instance once, in order, as far as a context can be followed.

    No object is made of a record, of which a hostile context has millions. END is among them.

    >>> list(keys_of(bytes([3, 0, 0, 0, 1, 0, 0, 0, 9]) * 2 + bytes(8) + bytes([9])))
    [(3, 0), (0, 0)]
    """
    return _keys_again(data) if len(data) > _LONG else _keys(data)


def _keys(data: bytes) -> dict[tuple[int, int], None]:
    keys: dict[tuple[int, int], None] = {}
    unpack, head, size, at = DESCRIPTOR.unpack_from, DESCRIPTOR.size, len(data), 0
    while at + head <= size:
        typecode, instance, length = unpack(data, at)
        at += head + length
        if at > size:
            break
        keys[typecode, instance] = None
        if typecode == END_TYPECODE:
            break
    return keys


# Of a hostile context every release's answer asks again.
_keys_again = lru_cache(maxsize=1)(_keys)


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Returns entries as they lie in a context; END is not added."""
    return b"".join(entry.to_bytes() for entry in entries)


def _missing(what: str, wanted: int, got: int, offset: int) -> Truncated:
    return Truncated(
        f"HVM context ends: {what} needs {wanted} bytes, {got} are left",
        wanted=wanted,
        got=got,
        offset=offset,
        record="HVM context",
    )


class HvmContext(Format):
    """An HVM context alone, as a hypercall gives it."""

    name = HVM
    title = "an HVM context"
    page = "docs/reference/formats/xl.md"
    trailer = False
    pages = False

    def matches(self, head: bytes) -> bool:
        """Tells a context by HEADER's descriptor and magic, whatever length it claims.

        The descriptor before the magic tells it too where the record between has no body.

        >>> HvmContext().matches(DESCRIPTOR.pack(1, 0, 0) + DESCRIPTOR.pack(2, 0, 1024))
        True
        """
        if head[:4] != HEADER_TYPECODE.to_bytes(4, "little"):
            return False
        if int.from_bytes(head[8:12], "little") == HEADER_MAGIC:
            return True
        if len(head) < 2 * DESCRIPTOR.size or any(head[4:8]):
            return False
        typecode, _, length = DESCRIPTOR.unpack_from(head, DESCRIPTOR.size)
        return bool(typecode > HEADER_TYPECODE and length)

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields one event, whose body is the whole input."""
        # How long a context in a pipe is shows at its end only: it is taken in first.
        known = source if source.size is not None else MemorySource(read_all(source), source.name)
        length = (known.size or 0) - known.offset
        event = Event(known, HVM, CONTEXT, "context", memoryview(b""), length=length)
        yield event
        event.finish()


HVM_FORMAT = HvmContext()
