"""A PV guest's memory, as libxc's restore looks its frames up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.container.streams.libxc_records import DATALESS_TYPES
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


def _frames(facts: GuestFacts) -> range:
    """Returns the numbers of the frames that a guest's P2M takes."""
    per_frame = PAGE_SIZE * 8 // (facts.width or 64)
    return range(0 if facts.max_pfn is None else facts.max_pfn // per_frame + 1)


class PvMemory(NamedTuple):
    """What libxc knows of a PV guest's memory: its last PFN, the P2M's own frames, its pages.

    `frames` numbers the frames of the P2M, `p2m` says where those are that were named.
    """

    max_pfn: int
    frames: range
    p2m: Mapping[int, int]
    memory: Memory

    @classmethod
    def of(cls, image: Image, facts: GuestFacts) -> PvMemory:
        """Returns a PV image's memory; it is indexed in a pass of its own."""
        return cls(facts.max_pfn or 0, _frames(facts), facts.p2m, image.memory)

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
    frames: range
    p2m: Mapping[int, int]
    pages: PageFacts | None

    @classmethod
    def of(cls, facts: GuestFacts) -> ListedMemory | None:
        """Returns what an image lists; None where most of the memory was taken out of it."""
        if facts.cut:
            return None
        return cls(facts.max_pfn, _frames(facts), facts.p2m, facts.pages)

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
