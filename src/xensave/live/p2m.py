"""A running PV guest's P2M: which machine frame each of its own frames is.

The guest keeps it, and its shared info page says where: as a list that its page tables map, or as a
tree of frames (struct arch_shared_info in xen/include/public/arch-x86/xen.h; map_p2m() in
tools/libs/guest/xg_sr_save_x86_pv.c reads both). What is here is the guest's word: what of it is
the guest's memory, Xen is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.container.streams.libxc_records import PV_LEVELS
from xensave.errors import LimitExceeded, Malformed
from xensave.live.foreign import ForeignMemory, Frames
from xensave.records.stream import FRAME_BITS, root_frame

FRAMES_LIMIT = 1 << 28
"""Frames that are asked for in a guest's pause: 1 TiB, a quarter of a million hypercalls."""

PRESENT = np.uint64(1)
FRAME = np.uint64((1 << FRAME_BITS) - 1 << PAGE_SHIFT)
"""Where in an entry of a page table the frame's number stands."""

_INDEX_BITS = 9
_MOST_MAPPED = 1024


class _Shared(NamedTuple):
    """What struct arch_shared_info says of the P2M, of a guest of some width."""

    max_pfn: int
    list_list: int
    nmi_reason: int
    cr3: int
    virtual: int
    generation: int


class _Width(NamedTuple):
    """Where that struct lies in the shared info page, and how the guest writes numbers."""

    offset: int
    words: struct.Struct
    number: str


_WIDTHS = {
    64: _Width(3088, struct.Struct("<6Q"), "<u8"),
    32: _Width(2316, struct.Struct("<6I"), "<u4"),
}


class P2m:
    """The P2M of a PV guest of `bits` bits, which is paused: `leaves` are the frames that hold it.

    Raises Malformed where it leads nowhere, LimitExceeded for one of too many frames.
    """

    def __init__(self, foreign: ForeignMemory, domain: int, bits: int, shared_info: bytes) -> None:
        self._foreign = foreign
        self._domain = domain
        self._bits = bits
        self._width = _WIDTHS[bits]
        shared = _Shared(*self._width.words.unpack_from(shared_info, self._width.offset))
        self.max_pfn = shared.max_pfn
        if self.max_pfn > FRAMES_LIMIT:
            raise LimitExceeded(
                f"domain {domain}: its highest frame is {self.max_pfn - 1:#x}, "
                f"the limit is {FRAMES_LIMIT:#x}"
            )
        if shared.cr3 and shared.generation & 1:
            raise self._astray("it is just changing its P2M: ask again")
        count = -(-self.max_pfn // (PAGE_SIZE * 8 // bits))
        self.leaves = self._of_list(shared, count) if shared.cr3 else self._of_tree(shared, count)

    def entries(self) -> Iterator[tuple[Frames, Frames]]:
        """Yields numbers of the guest's, in ascending order, and the machine frames they are.

        Numbers without a frame are left out. What is mapped from another domain is not: only Xen
        knows.
        """
        first = 0
        for at in range(0, len(self.leaves), _MOST_MAPPED):
            words = self._words(self.leaves[at : at + _MOST_MAPPED])[: self.max_pfn - first]
            places = np.flatnonzero(words < 1 << FRAME_BITS)
            yield places.astype(np.uint64) + np.uint64(first), words[places]
            first += len(words)

    def _of_list(self, shared: _Shared, count: int) -> Frames:
        """Returns the frames that the guest's tables map at the list's address, level by level."""
        if not count:
            return np.empty(0, np.uint64)
        tables = np.array([root_frame(shared.cr3, self._bits)], np.uint64)
        first = shared.virtual & (1 << min(self._bits, 48)) - 1
        last = first + count * PAGE_SIZE - 1
        base = 0
        for level in range(PV_LEVELS[self._bits], 0, -1):
            shift = PAGE_SHIFT + _INDEX_BITS * (level - 1)
            entries = self._pages(tables).view("<u8")
            entries = entries[(first >> shift) - base : (last >> shift) - base + 1]
            if len(entries) != (last >> shift) - (first >> shift) + 1:
                raise self._astray("its P2M goes beyond its addresses")
            if not (entries & PRESENT).all():
                raise self._astray("its P2M is not mapped")
            tables = (entries & FRAME) >> np.uint64(PAGE_SHIFT)
            base = first >> shift << _INDEX_BITS
        return tables

    def _of_tree(self, shared: _Shared, count: int) -> Frames:
        """Returns the frames that the list of lists leads to."""
        entries = PAGE_SIZE * 8 // self._bits
        top = self._words(np.array([shared.list_list], np.uint64))[: -(-count // entries)]
        return self._words(top)[:count]

    def _words(self, frames: Frames) -> Frames:
        """Returns what pages hold, as numbers of the guest's width; ~0 is that of 64 bits."""
        words = self._pages(frames).view(self._width.number).astype(np.uint64)
        if self._bits == 32:
            words[words == 0xFFFFFFFF] = np.uint64(0xFFFFFFFFFFFFFFFF)
        return words

    def _pages(self, frames: Frames) -> Frames:
        parts = []
        for at in range(0, len(frames), _MOST_MAPPED):
            pages, there = self._foreign.pages(self._domain, frames[at : at + _MOST_MAPPED])
            if not there.all():
                raise self._astray("its P2M names frames that are not its own")
            parts.append(np.frombuffer(pages, np.uint64))
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)

    def _astray(self, why: str) -> Malformed:
        return Malformed(f"domain {self._domain}: {why}")
