"""A PV guest's memory, as libxc's restore looks its frames up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import DATALESS_TYPES, PAIR
from xensave.engine.loop.rule import Undecided
from xensave.image import Image
from xensave.image.facts.guest import GuestFacts
from xensave.image.facts.pages import PageFacts

if TYPE_CHECKING:  # numpy takes as long to import as many contexts to judge
    from xensave.memory.physical import Memory

NOTAB = 0
TABLE = 0x7
"""What of a page type says the level of a page table, pinned or not."""
_LEVELS = 4


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


class ListedMemory(NamedTuple):
    """What a stream lists of a PV guest's memory, where its pages are not at hand."""

    max_pfn: int | None
    p2m: tuple[int, ...]
    pages: PageFacts | None

    @classmethod
    def of(cls, facts: GuestFacts) -> ListedMemory | None:
        """Returns what an image lists; None where most of the memory was taken out of it."""
        return None if facts.cut else cls(facts.max_pfn, facts.p2m_pfns, facts.pages)

    def wrong(self, pfn: int, what: str, type_: int | None = NOTAB) -> str | None:
        """Returns what is wrong with a frame. Raises Undecided where the list cannot tell."""
        if self.max_pfn is None or pfn > self.max_pfn:
            return f"{what} (PFN {pfn:#x}) is out of range"
        if self.pages is None:
            raise Undecided(f"of which type {what} (PFN {pfn:#x}) is")
        kind = self.pages.types.get(pfn, NOTAB)
        if type_ is not None and (kind & TABLE if type_ else kind) != type_:
            return f"{what} (PFN {pfn:#x}) has type {kind:#x}, expected {type_:#x}"
        if self.pages.has(pfn):
            return None
        if any(1 <= kind & TABLE <= _LEVELS for kind in self.pages.types.values()):
            raise Undecided(f"whether a page table of the guest names {what} (PFN {pfn:#x})")
        return f"{what} (PFN {pfn:#x}) was not sent"


AnyMemory: TypeAlias = PvMemory | ListedMemory
