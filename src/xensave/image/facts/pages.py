"""Which pages a stream holds, and of which type: what a restore populates, and checks by type.

`xensave.memory.index` answers where the last contents of a frame lie, in 16 bytes a frame, and
stops at a record that libxc refuses. Here it is runs of what is listed, the last type of a frame
even where its contents stay (XALLOC after NOTAB), and a damaged record counts as far as it goes.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import PAIR

_UNPOPULATED = (0xD, 0xF)
"""BROKEN and XTAB: no page is allocated for them."""

_CUT = 16
"""An image with less than this part of its guest's memory counts as cut."""

_XTAB_TOPS = bytes(range(0xF0, 0x100))
"""What the highest byte of a PFN of type XTAB may be."""

_TOPS = PAIR.size + 7
"""Where in a record the highest byte of its first PFN lies."""

_MERGE_EVERY = 1 << 16
_RUNS_LIMIT = 1 << 20
_TYPES_LIMIT = 1 << 22


class PageFacts(NamedTuple):
    """The pages of a guest: `runs` of populated PFNs, (first, last) each, ascending.

    `types` are the page types by PFN where not NOTAB, the last one that was sent of each; XTAB is
    left out where whole records have no other type and no page table came before.
    `records` counts PAGE_DATA records, `populated` the pages that the restore allocates for what
    the stream lists.

    >>> facts = PageFacts(runs=((0, 3), (8, 9)))
    >>> [pfn for pfn in range(12) if facts.has(pfn)]
    [0, 1, 2, 3, 8, 9]
    """

    runs: tuple[tuple[int, int], ...] = ()
    types: Mapping[int, int] = MappingProxyType({})
    records: int = 0
    populated: int = 0

    def cut(self, max_pfn: int) -> bool:
        """Tells whether most of the memory up to a PFN was taken out, to study the rest."""
        return 0 < self.populated < (max_pfn + 1) // _CUT

    def has(self, pfn: int) -> bool:
        """Tells whether the stream populates a page."""
        at = bisect_right(self.runs, pfn, key=itemgetter(0))
        return at > 0 and pfn <= self.runs[at - 1][1]


class PageTally:
    """Takes the events of a stream; `facts` is what its PAGE_DATA records list.

    Contents are never read. A stream that lists more than a few million scattered PFNs has no
    facts: None.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[int, int]] = []
        self._merge_beyond = _MERGE_EVERY
        self._types: dict[int, int] = {}
        self._tables = False
        self._records = 0
        self._over = False

    def add(self, event: Event) -> None:
        """Takes in one event."""
        if self._over or not event.is_record(LIBXC, libxc.PAGE_DATA):
            return
        self._records += 1
        if event.length < PAIR.size:
            return
        count = min(PAIR.unpack(event.prefix(PAIR.size))[0], (event.length - PAIR.size) // 8)
        front = event.prefix(PAIR.size + 8 * count)
        if not self._tables and not bytes(front[_TOPS::8]).translate(None, _XTAB_TOPS):
            # An HVM guest's stream lists its whole address space so: nothing is populated.
            return
        self._take(struct.unpack_from(f"<{count}Q", front, PAIR.size))

    def _take(self, words: tuple[int, ...]) -> None:
        if not words:
            return
        first, last = words[0], words[-1]
        if last <= PFN_MASK and words == tuple(range(first, first + len(words))):
            self._plain(first, last)
        else:
            self._typed(words)
        if len(self._runs) > self._merge_beyond:
            self._merge()
        self._over |= len(self._types) > _TYPES_LIMIT

    def _merge(self) -> None:
        """Joins runs. The next time comes after as many more as make up for sorting all of them."""
        self._runs = _merged(self._runs)
        self._merge_beyond = len(self._runs) + _MERGE_EVERY
        self._over |= len(self._runs) > _RUNS_LIMIT

    def _plain(self, first: int, last: int) -> None:
        if self._types:
            for pfn in range(first, last + 1):
                self._types.pop(pfn, None)
        self._run(first, last)

    def _typed(self, words: tuple[int, ...]) -> None:
        """Takes in PFNs of any type; those that follow each other are one run."""
        first, last = 0, -1
        for word in words:
            pfn, kind = word & PFN_MASK, word >> TYPE_SHIFT
            if kind:
                self._types[pfn] = kind
                self._tables |= kind not in _UNPOPULATED
            else:
                self._types.pop(pfn, None)
            if kind in _UNPOPULATED:
                continue
            if pfn != last + 1:
                if first <= last:
                    self._run(first, last)
                first = pfn
            last = pfn
        if first <= last:
            self._run(first, last)

    def _run(self, first: int, last: int) -> None:
        if self._runs and self._runs[-1][1] + 1 == first:
            self._runs[-1] = (self._runs[-1][0], last)
        else:
            self._runs.append((first, last))

    @property
    def facts(self) -> PageFacts | None:
        """What was listed so far; None where it is too much to remember."""
        if not self._over:
            self._merge()
        if self._over:
            return None
        populated = sum(last - first + 1 for first, last in self._runs)
        types = MappingProxyType(dict(self._types))
        return PageFacts(tuple(self._runs), types, self._records, populated)


def _merged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns runs in order, those that touch or overlap as one.

    >>> _merged([(8, 9), (0, 3), (2, 5), (6, 7)])
    [(0, 9)]
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
