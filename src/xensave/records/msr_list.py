"""The body of a CPU_MSR record: a count in eight bytes, then sixteen for each MSR.

struct hvm_msr of xen/include/public/arch-x86/hvm/save.h: a flexible array, which no layout of a
fixed size describes.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

HEAD = 8
ENTRY = struct.Struct("<IIQ")


class SavedMsr(NamedTuple):
    """An MSR by its index, reserved bits that must be zero, and its value."""

    msr: int
    reserved: int
    value: int


def count_of(body: bytes | memoryview) -> int:
    """Returns the count that a body begins with; what is cut off counts as zero."""
    return int.from_bytes(body[:4], "little")


def size_for(count: int) -> int:
    """Returns how long the body of so many MSRs is.

    >>> size_for(2)
    40
    """
    return HEAD + ENTRY.size * count


def entries_of(body: bytes | memoryview) -> list[SavedMsr]:
    """Returns the MSRs of a body that is as long as its count says.

    >>> entries_of(with_entries(bytes(8), [SavedMsr(0x48, 0, 1)]))
    [SavedMsr(msr=72, reserved=0, value=1)]
    """
    return [SavedMsr(*entry) for entry in ENTRY.iter_unpack(body[HEAD:])]


def with_entries(body: bytes, entries: Iterable[SavedMsr]) -> bytes:
    """Returns a body with these MSRs; what stands beside the count in its head stays."""
    packed = [ENTRY.pack(*entry) for entry in entries]
    return len(packed).to_bytes(4, "little") + body[4:HEAD] + b"".join(packed)
