"""Legacy libxc streams, which Xen 3.1 - 4.5 wrote: chunks of an `unsigned long` of the toolstack.

Source: tools/libxc/xg_save_restore.h and xc_domain_save.c of Xen 4.5.
"""

from __future__ import annotations

MAX_BATCH = 1024
LAST_CHUNK = -20
P2M_SIZES = range(16, (1 << 28) + 1)
"""How many frames a guest can have: a PFN has 28 bits here, and 16 frames hold no guest."""


def width_of(head: bytes) -> int | None:
    r"""Return the bytes of the toolstack's `unsigned long` (8 or 4), None for no legacy stream.

    First comes the P2M's size, an `unsigned long`, then a chunk's 32-bit number: a batch of 1 to
    1024 pages, a negative identifier, or -1 where a PV guest's extended information begins.

    >>> width_of(bytes.fromhex("0020000000000000 f9ffffff")), width_of(b"\0\x20\0\0\1" + bytes(3))
    (8, 4)
    """
    if len(head) < 8 or int.from_bytes(head[:4], "little") not in P2M_SIZES:
        return None
    if _is_chunk(head[4:8]):
        return 4
    return 8 if head[4:8] == bytes(4) and _is_chunk(head[8:12]) else None


def _is_chunk(word: bytes) -> bool:
    number = int.from_bytes(word, "little", signed=True)
    return len(word) == 4 and LAST_CHUNK <= number <= MAX_BATCH and number != 0
