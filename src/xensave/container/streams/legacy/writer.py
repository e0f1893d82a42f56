"""What a legacy stream is made of, packed: the way back from today's records."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from xensave.container.streams.legacy import chunks as c

_EXTENDED = (1 << 64) - 1


def header(p2m_size: int) -> bytes:
    """Returns what begins the stream of a 64-bit toolstack."""
    return struct.pack("<Q", p2m_size)


def extended_info(context: bytes, *, extended: bool, xsave_size: int | None) -> bytes:
    """Returns a PV guest's extended information: a vCPU's context, and what the others have."""
    blocks = b"vcpu" + struct.pack("<I", len(context)) + context
    if extended:
        blocks += b"extv" + struct.pack("<I", 0)
    if xsave_size is not None:
        blocks += b"xcnt" + struct.pack("<II", 4, xsave_size + 16)
    return struct.pack("<QI", _EXTENDED, len(blocks)) + blocks


def ulongs(words: Sequence[int]) -> bytes:
    """Returns words of a 64-bit toolstack."""
    return struct.pack(f"<{len(words)}Q", *words)


def batch(entries: Sequence[int]) -> bytes:
    """Returns what precedes the pages of a batch."""
    return struct.pack("<i", len(entries)) + ulongs(entries)


def marker(chunk: int) -> bytes:
    """Returns a chunk that is its number alone."""
    return struct.pack("<i", chunk)


def param(chunk: int, value: int) -> bytes:
    """Returns a chunk of an HVM param."""
    return struct.pack("<iIQ", chunk, 0, value)


def tsc_info(mode: int, khz: int, nsec: int, incarnation: int) -> bytes:
    """Returns the chunk of the guest's clock."""
    return struct.pack("<iIQII", c.TSC_INFO, mode, nsec, khz, incarnation)


def vcpu_info(vcpus: Sequence[int]) -> bytes:
    """Returns the chunk that says which vCPUs are online."""
    last = max(vcpus, default=0)
    online = sum(1 << vcpu for vcpu in set(vcpus))
    return struct.pack("<ii", c.VCPU_INFO, last) + online.to_bytes(8 * (last // 64 + 1), "little")


def toolstack(places: Mapping[int, tuple[int, int, bytes]]) -> bytes:
    """Returns libxl's chunk: by physical offset the start, size and name of a region."""
    body = struct.pack("<II", 1, len(places))
    for phys, (start, size, name) in places.items():
        # A 64-bit toolstack's reader takes the name with four bytes of padding behind it.
        body += struct.pack("<QQQI", phys, start, size, len(name) + 1) + name + bytes(5)
    return struct.pack("<iI", c.TOOLSTACK, len(body)) + body


def hvm_tail(magic: Sequence[int], context: bytes) -> bytes:
    """Returns an HVM guest's three special pages, and its context."""
    return struct.pack("<QQQI", *magic, len(context)) + context


def xsave(mask: int, data: bytes) -> bytes:
    """Returns what precedes a vCPU's XSAVE area, and the area."""
    return struct.pack("<QQ", mask, len(data)) + data
