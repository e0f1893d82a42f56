"""Pages of a compressed Remus stream: each a difference from what was sent of it before.

A page is one byte 0 (unchanged), or 0x80 and its 4096 bytes, or runs: a byte whose low seven bits
count 32-bit words, and whose top bit says that they stay; they follow it else. Source:
xc_compression_uncompress_page() in tools/libxc/xc_compression.c of Xen 4.5.
"""

from __future__ import annotations

from xensave.container.streams.legacy.chunks import PAGE_SIZE
from xensave.errors import Malformed, Truncated

UNCHANGED = 0
WHOLE = 0x80
_STAYS = 0x80
_COUNT = 0x7F
_WORD = 4


def decompress(data: bytes, at: int, before: bytes) -> tuple[bytes, int]:
    r"""Returns the page whose difference begins at `at`, and where the next one does.

    `before` is what the page held. Raises Malformed for runs that leave the page, and Truncated
    where the data end within it.

    >>> page, end = decompress(b"\x02abcdefgh" + b"\xff" * 8 + b"\x86", 0, bytes(4096))
    >>> page[:9], end
    (b'abcdefgh\x00', 18)
    """
    first = data[at]
    if first == UNCHANGED:
        return before, at + 1
    if first == WHOLE:
        _inside(at + 1, PAGE_SIZE, len(data))
        return data[at + 1 : at + 1 + PAGE_SIZE], at + 1 + PAGE_SIZE
    page = bytearray(before)
    place = 0
    while place < PAGE_SIZE:
        _inside(at, 1, len(data))
        marker = data[at]
        at += 1
        length = (marker & _COUNT) * _WORD
        if not length:
            raise Malformed("a run of no words", record="legacy compressed data")
        if place + length > PAGE_SIZE:
            raise Malformed("a run leaves its page", record="legacy compressed data")
        if not marker & _STAYS:
            _inside(at, length, len(data))
            page[place : place + length] = data[at : at + length]
            at += length
        place += length
    return bytes(page), at


def _inside(at: int, length: int, size: int) -> None:
    if at + length > size:
        left = max(0, size - at)
        raise Truncated(
            f"{length} bytes of a page, {left} are left",
            wanted=length,
            got=left,
            record="legacy compressed data",
        )
