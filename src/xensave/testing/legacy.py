"""Legacy streams of either toolstack, chunk by chunk, and a saver of compressed Remus batches.

>>> from xensave.container import walk
>>> from xensave.source import open_source
>>> [event.name for event in walk(open_source(hvm_stream(width=4)), stored=True)][:3]
['header', 'TSC info', 'pages']
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from xensave.container.streams.legacy import chunks as c
from xensave.testing.streams import restorable_context

P2M_SIZE = 64
SHARED_INFO = bytes(4096)
TSC = struct.pack("<iIQII", c.TSC_INFO, 0, 123456789, 2400000, 1)
LAST = struct.pack("<i", c.LAST_CHECKPOINT)
END = struct.pack("<i", c.END_OF_BODY)
ENABLE_COMPRESSION = struct.pack("<i", c.ENABLE_COMPRESSION)
DEVICE_MODEL = c.DEVICE_MODELS[0] + struct.pack("<I", 8) + b"QEVM\0\0\0\3"
_PAGE_WORDS = c.PAGE_SIZE // 4


def ulongs(values: Iterable[int], width: int) -> bytes:
    """Returns a toolstack's `unsigned long`s."""
    return b"".join(value.to_bytes(width, "little") for value in values)


def batch(entries: Sequence[int], pages: bytes, width: int = 8) -> bytes:
    """Returns a batch: its entries (a type in bits 31 - 28, a PFN), then contents."""
    return struct.pack("<i", len(entries)) + ulongs(entries, width) + pages


def page(number: int) -> bytes:
    """Returns contents that tell pages apart."""
    return struct.pack("<I", number) * _PAGE_WORDS


def pages(pfns: Iterable[int], width: int = 8) -> bytes:
    """Returns a batch of such pages."""
    chosen = list(pfns)
    return batch(chosen, b"".join(map(page, chosen)), width)


def vcpu_info(vcpus: Iterable[int] = (0,), max_id: int | None = None) -> bytes:
    """Returns the chunk that says which vCPUs are online."""
    online = sum(1 << vcpu for vcpu in set(vcpus))
    last = max(vcpus, default=0) if max_id is None else max_id
    words = max(0, last // 64 + 1)
    return struct.pack("<ii", c.VCPU_INFO, last) + online.to_bytes(8 * words, "little")


def param(chunk: int, value: int, pad: int = 0) -> bytes:
    """Returns a chunk with an HVM param."""
    return struct.pack("<iIQ", chunk, pad, value)


def toolstack(names: Sequence[bytes] = (b"vga.vram\0",), width: int = 8) -> bytes:
    """Returns libxl's chunk: where a device model's memory lies."""
    body = struct.pack("<II", 1, len(names))
    for number, name in enumerate(names):
        body += struct.pack("<QQQI", number << 16, 0xF0000000, 0x800000, len(name)) + name
        body += b"\xaa" * (4 if width == 8 else 0)
    return struct.pack("<iI", c.TOOLSTACK, len(body)) + body


def hvm_tail(context: bytes | None = None, device_model: bytes = DEVICE_MODEL) -> bytes:
    """Returns what follows an HVM guest's chunks."""
    saved = restorable_context("4.5") if context is None else context
    magic = struct.pack("<QQQ", 0xFEFFD, 0xFEFFB, 0xFEFFC)
    return magic + struct.pack("<I", len(saved)) + saved + device_model


def hvm_stream(
    width: int = 8,
    *,
    p2m_size: int = P2M_SIZE,
    body: bytes | None = None,
    extra: bytes = b"",
    tail: bytes | None = None,
) -> bytes:
    """Returns the stream of an HVM guest of 8 pages; `extra` chunks come last in its body."""
    chunks = TSC + pages(range(8), width) + vcpu_info() if body is None else body
    chunks += param(c.IDENT_PT, 0xFEFFE000) + param(c.CONSOLE_PFN, 0xFEFFF)
    chunks += (toolstack(width=width) if body is None else b"") + extra + LAST + END
    return ulongs([p2m_size], width) + chunks + (hvm_tail() if tail is None else tail)


def pv_front(width: int = 8, guest: int = 8, *, p2m_size: int = P2M_SIZE, xsave: int = 0) -> bytes:
    """Returns what precedes a PV guest's chunks: sizes of the contexts, the P2M's frames."""
    size = next(size for size, (wide, _) in c.GUEST_WIDTHS.items() if wide == guest)
    blocks = b"vcpu" + struct.pack("<I", size) + bytes(size) + b"extv" + bytes(4)
    if xsave:
        blocks += b"xcnt" + struct.pack("<II", 4, xsave + 16)
    frames = (p2m_size - 1) // (c.PAGE_SIZE // guest) + 1
    return b"".join(
        (
            ulongs([p2m_size, (1 << 8 * width) - 1], width),
            struct.pack("<I", len(blocks)) + blocks,
            ulongs(range(frames), width),
        )
    )


def pv_tail(guest: int = 8, vcpus: int = 1, *, xsave: int = 0, unmapped: bytes = b"") -> bytes:
    """Returns a PV guest's contexts and its shared info."""
    size = next(size for size, (wide, _) in c.GUEST_WIDTHS.items() if wide == guest)
    vcpu = bytes(size) + bytes(c.EXTENDED_VCPU_SIZE)
    if xsave:
        vcpu += struct.pack("<QQ", 3, xsave) + bytes(xsave)
    return (unmapped or bytes(4)) + vcpu * vcpus + SHARED_INFO


def pv_stream(width: int = 8, guest: int = 8, *, extra: bytes = b"", xsave: int = 576) -> bytes:
    """Returns the stream of a PV guest of 8 pages and one vCPU."""
    body = TSC + pages(range(8), width) + vcpu_info() + extra + LAST + END
    return pv_front(width, guest, xsave=xsave) + body + pv_tail(guest, xsave=xsave)


def difference(before: bytes | None, after: bytes) -> bytes:
    r"""Returns a page as a compressed batch has it: what differs from `before`, None for all of it.

    >>> difference(page(1), page(1)), difference(None, page(1))[:2]
    (b'\x00', b'\x80\x01')
    """
    if before is None:
        return b"\x80" + after
    if before == after:
        return b"\0"
    runs = b""
    at = 0
    while at < c.PAGE_SIZE:
        same = before[at : at + 4] == after[at : at + 4]
        end = at
        while end < min(at + 4 * 127, c.PAGE_SIZE) and (
            (before[end : end + 4] == after[end : end + 4]) == same
        ):
            end += 4
        words = (end - at) // 4
        runs += bytes([words | 0x80]) if same else bytes([words]) + after[at:end]
        at = end
    return runs


def compressed(
    now: Mapping[int, bytes], before: Mapping[int, bytes], width: int = 8, chunks: int = 1
) -> bytes:
    """Returns a batch of PFNs, and their pages as differences in so many chunks."""
    parts = b"".join(difference(before.get(pfn), new) for pfn, new in now.items())
    cut = -(-len(parts) // chunks)
    pieces = [parts[at : at + cut] for at in range(0, len(parts), cut)]
    return batch(list(now), b"", width) + b"".join(
        struct.pack("<i", c.COMPRESSED_DATA) + ulongs([len(piece)], width) + piece
        for piece in pieces
    )
