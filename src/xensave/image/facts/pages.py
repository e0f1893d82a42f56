"""Which pages a stream holds, and of which type: what a restore populates, and checks by type.

`xensave.memory.index` answers where the last contents of a frame lie, in 16 bytes a frame, and
stops at a record that libxc refuses. Here it is runs of what is listed, the last type of a frame
even where its contents stay (XALLOC after NOTAB), and a damaged record counts as far as it goes.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, overload

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
FEW_RUNS = 1 << 12
"""So many are joined before numpy is imported."""
TYPES_LIMIT = 1 << 20
"""Frames of other types than NOTAB: a PV guest of a tebibyte has half as many page tables."""


class PfnRuns(Sequence[tuple[int, int]]):
    """Runs of PFNs in 16 bytes each: as a sequence, the first and the last PFN of each.

    >>> runs = PfnRuns([(0, 3), (8, 9)])
    >>> list(runs), runs[-1], runs[:1], len(runs)
    ([(0, 3), (8, 9)], (8, 9), [(0, 3)], 2)
    """

    __slots__ = ("_words",)

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._words = array("Q", chain.from_iterable(runs))

    def __len__(self) -> int:
        return len(self._words) // 2

    @overload
    def __getitem__(self, place: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        at = 2 * range(len(self))[place]
        return self._words[at], self._words[at + 1]

    def add(self, first: int, last: int) -> None:
        """Takes in a run; one that goes on where the last ended makes that longer."""
        words = self._words
        if words and words[-1] + 1 == first:
            words[-1] = last
        else:
            words.append(first)
            words.append(last)

    def merged(self) -> PfnRuns:
        """Returns the runs in order, those that touch or overlap as one.

        >>> list(PfnRuns([(8, 9), (0, 3), (2, 5), (6, 7), (12, 12)]).merged())
        [(0, 9), (12, 12)]
        """
        result = PfnRuns()
        if len(self) <= FEW_RUNS:
            result._join(sorted(self))
        else:
            result._words.frombytes(self._joined())
        return result

    def _join(self, runs: list[tuple[int, int]]) -> None:
        words = self._words
        for first, last in runs:
            if words and first <= words[-1] + 1:
                words[-1] = max(words[-1], last)
            else:
                self.add(first, last)

    def _joined(self) -> bytes:
        """Returns the words of `merged`, where many tuples would take more memory than words."""
        import numpy as np

        pairs = np.frombuffer(self._words, np.uint64).reshape(-1, 2)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        firsts, reach = pairs[:, 0], np.maximum.accumulate(pairs[:, 1])
        begins = np.ones(len(pairs), bool)
        begins[1:] = firsts[1:] > reach[:-1] + np.uint64(1)
        starts = np.flatnonzero(begins)
        joined = np.empty((len(starts), 2), np.uint64)
        joined[:, 0] = firsts[starts]
        joined[:, 1] = reach[np.append(starts[1:], len(pairs)) - 1]
        return joined.tobytes()

    def __copy__(self) -> PfnRuns:
        """Returns runs of their own, which do not grow with these."""
        result = PfnRuns()
        result._words = self._words[:]
        return result

    @property
    def pages(self) -> int:
        """How many PFNs there are."""
        words = self._words
        return sum(words[1::2]) - sum(words[::2]) + len(self)


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

    runs: Sequence[tuple[int, int]] = ()
    types: Mapping[int, int] = MappingProxyType({})
    records: int = 0
    populated: int = 0

    def cut(self, max_pfn: int) -> bool:
        """Tells whether most of the memory up to a PFN was taken out, to study the rest."""
        return 0 < self.populated < (max_pfn + 1) // _CUT

    def has(self, pfn: int) -> bool:
        """Tells whether the stream populates a page."""
        at = bisect_right(self.runs, pfn, key=_first)
        return at > 0 and pfn <= self.runs[at - 1][1]


def _first(run: tuple[int, int]) -> int:
    return run[0]


class PageTally:
    """Takes the events of a stream; `facts` is what its PAGE_DATA records list.

    Contents are never read. A stream that lists more than a few million scattered PFNs has no
    facts: None.
    """

    def __init__(self) -> None:
        self._runs = PfnRuns()
        self._merge_beyond = _MERGE_EVERY
        self._types: dict[int, int] = {}
        self._tables = False
        self._records = 0
        self._over = False
        self._lent = False

    def add(self, event: Event) -> None:
        """Takes in one event."""
        if self._over or not event.is_record(LIBXC, libxc.PAGE_DATA):
            return
        self._records += 1
        if event.length < PAIR.size:
            return
        # The tally has mostly read the front already.
        front = event.head if len(event.head) >= PAIR.size else event.prefix(PAIR.size)
        count = min(PAIR.unpack_from(front)[0], (event.length - PAIR.size) // 8)
        end = PAIR.size + 8 * count
        if len(front) < end:
            front = event.prefix(end)
        if not self._tables and not bytes(front[_TOPS:end:8]).translate(None, _XTAB_TOPS):
            # An HVM guest's stream lists its whole address space so: nothing is populated.
            return
        self._take(struct.unpack_from(f"<{count}Q", front, PAIR.size))

    def _take(self, words: tuple[int, ...]) -> None:
        if not words:
            return
        if self._lent:
            # Facts are asked for once, at the end, or at each checkpoint: they do not grow.
            self._runs, self._types, self._lent = copy(self._runs), dict(self._types), False
        first, last = words[0], words[-1]
        if last <= PFN_MASK and words == tuple(range(first, first + len(words))):
            self._plain(first, last)
        else:
            self._typed(words)
        if len(self._runs) > self._merge_beyond:
            self._merge()
        self._over |= len(self._types) > TYPES_LIMIT

    def _merge(self) -> None:
        """Joins runs. The next time comes after as many more as there are: sorting takes long."""
        if len(self._runs) > 1:
            self._runs = self._runs.merged()
        self._merge_beyond = len(self._runs) + max(len(self._runs), _MERGE_EVERY)
        self._over |= len(self._runs) > _RUNS_LIMIT

    def _plain(self, first: int, last: int) -> None:
        if self._types:
            for pfn in range(first, last + 1):
                self._types.pop(pfn, None)
        self._runs.add(first, last)

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
                    self._runs.add(first, last)
                first = pfn
            last = pfn
        if first <= last:
            self._runs.add(first, last)

    @property
    def facts(self) -> PageFacts | None:
        """What was listed so far; None where it is too much to remember."""
        if not self._over:
            self._merge()
        if self._over:
            return None
        self._lent = True
        types = MappingProxyType(self._types)
        return PageFacts(self._runs, types, self._records, self._runs.pages)
