"""What a legacy stream begins with, and how it is told from anything else."""

from typing import NamedTuple

from xensave.container.streams.legacy.chunks import LAST_ID, MAX_BATCH, PFN_MASK
from xensave.errors import Malformed

P2M_SIZES = range(16, (1 << 28) + 1)
"""How many frames a guest can have: a PFN has 28 bits here, and 16 frames hold no guest."""


class LegacyHeader(NamedTuple):
    """The P2M's size, as an `unsigned long` of the toolstack of `width` bytes; and the guest.

    >>> LegacyHeader(8192, width=8).about
    'HVM guest, P2M of 8192 frames, 64-bit toolstack'
    """

    p2m_size: int
    width: int = 8
    pv: bool = False

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        kind = "PV" if self.pv else "HVM"
        return f"{kind} guest, P2M of {self.p2m_size} frames, {self.width * 8}-bit toolstack"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return f"legacy libxc of a {self.width * 8}-bit toolstack"

    @property
    def version(self) -> None:
        """Legacy streams have no version."""
        return

    def to_bytes(self) -> bytes:
        """Returns the P2M's size again."""
        return self.p2m_size.to_bytes(self.width, "little")


def width_of(head: bytes) -> int | None:
    r"""Returns the bytes of the toolstack's `unsigned long` (8 or 4), None for no legacy stream.

    First comes the P2M's size, an `unsigned long`, then a chunk's 32-bit number: a batch of 1 to
    1024 pages, a negative identifier, or -1 where a PV guest's extended information begins.

    >>> width_of(bytes.fromhex("0020000000000000 f9ffffff")), width_of(b"\0\x20\0\0\1" + bytes(3))
    (8, 4)
    """
    if len(head) < 8 or int.from_bytes(head[:4], "little") >= P2M_SIZES.stop:
        return None
    if is_chunk(head[4:8]):
        return 4
    return 8 if head[4:8] == bytes(4) and is_chunk(head[8:12]) else None


def is_chunk(word: bytes | memoryview) -> bool:
    """Tells whether a 32-bit number begins a batch or another chunk than the end of a body."""
    number = int.from_bytes(word, "little", signed=True)
    return len(word) == 4 and LAST_ID <= number <= MAX_BATCH and number != 0


def is_legacy(head: bytes) -> bool:
    """Tells whether this is how a stream of a guest with some memory begins."""
    p2m_size, width = int.from_bytes(head[:4], "little"), width_of(head)
    return width is not None and p2m_size in P2M_SIZES and _has_frames(head, p2m_size, width)


def _has_frames(head: bytes, p2m_size: int, width: int) -> bool:
    """Tells whether a first batch lists frames that the guest has, each once: two words are few."""
    count = int.from_bytes(head[width : width + 4], "little", signed=True)
    listed = head[width + 4 :]
    words = [
        int.from_bytes(listed[at : at + 4], "little") & PFN_MASK
        for at in range(0, min(count, len(listed) // width) * width, width)
    ]
    return len(set(words)) == len(words) and all(word < p2m_size for word in words)


def is_pv(head: bytes, width: int) -> bool:
    """Tells a PV guest's stream: ~0 follows the P2M's size, or the block of a vCPU a bit later."""
    block = head[2 * width + 4 : 2 * width + 8]
    return head[width : 2 * width] == b"\xff" * width or block == b"vcpu"


def told_width(head: bytes) -> int:
    """Returns the width that the first words tell. Raises Malformed where they do not."""
    width = width_of(head)
    if width is None:
        raise Malformed(
            f"no legacy stream: it begins with {head[:12].hex(' ')}; "
            "the toolstack's width must be given if it is one",
            record="legacy header",
        )
    return width
