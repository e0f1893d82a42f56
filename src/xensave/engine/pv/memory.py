"""A PV guest's memory, as libxc's restore looks its frames up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import DATALESS_TYPES, PAIR
from xensave.image import Image

if TYPE_CHECKING:  # numpy takes as long to import as many contexts to judge
    from xensave.memory.physical import Memory

NOTAB = 0
TABLE = 0x7
"""What of a page type says the level of a page table, pinned or not."""


class PvMemory(NamedTuple):
    """What libxc knows of a PV guest's memory: its last PFN, the P2M's own frames, its pages."""

    max_pfn: int
    p2m: tuple[int | None, ...]
    memory: Memory

    @classmethod
    def of(cls, image: Image, bits: int) -> PvMemory:
        """Returns a PV image's memory; it is indexed in a pass of its own."""
        per_frame = libxc.PAGE_SIZE * 8 // bits
        last = 0
        frames: dict[int, int] = {}
        for record in image.tally.all(LIBXC, libxc.X86_PV_P2M_FRAMES):
            start, end = PAIR.unpack_from(record.body)
            last = max(last, end)
            for n in range((len(record.body) - PAIR.size) // 8):
                at = PAIR.size + 8 * n
                frames[start // per_frame + n] = int.from_bytes(record.body[at : at + 8], "little")
        count = last // per_frame + 1
        return cls(last, tuple(frames.get(n) for n in range(count)), image.memory)

    def wrong(self, pfn: int, what: str, type_: int | None = NOTAB) -> str | None:
        """Returns what is wrong with a frame that must be there, and of a type unless None."""
        if pfn > self.max_pfn:
            return f"{what} (PFN {pfn:#x}) is out of range"
        kind = self.memory.index.type_of(pfn)
        if kind is None:
            return f"{what} (PFN {pfn:#x}) was not sent"
        is_table = type_ is not None and type_ != NOTAB
        have = kind & TABLE if is_table else kind
        if type_ is not None and have != type_:
            return f"{what} (PFN {pfn:#x}) has type {kind:#x}, expected {type_:#x}"
        return f"{what} (PFN {pfn:#x}) has no memory" if kind in DATALESS_TYPES else None
