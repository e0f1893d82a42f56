"""The index of an image's pages: for each frame, where its last contents lie and of what type.

How a stream fills memory is what libxc's restore does with it (process_page_data(), restore() and
handle_checkpoint() in tools/libs/guest/xg_sr_restore.c):

- The last contents of a frame win. A later entry without contents (BROKEN, XALLOC, XTAB) leaves
  the contents that came before.
- What comes after a VERIFY record is compared with memory, and not taken.
- In a checkpointed stream (Remus, COLO) the records after a checkpoint are buffered until the
  next checkpoint is complete: what follows the last complete one does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.errors import LimitExceeded
from xensave.memory.batches import Batch, Mark, Words
from xensave.memory.column import Column, Integers

_PLACE_TYPE_SHIFT = 56
_OFFSET_MASK = (1 << _PLACE_TYPE_SHIFT) - 1
"""A place is an offset in the image (bits 0 - 55) and a page type (bits 56 - 59)."""

EMPTY_RUNS_LIMIT = 1 << 24
"""More runs of frames without contents than any guest has: 16 bytes each."""

PASSES_LIMIT = 1 << 12
"""A live migration makes five passes; the frames of later ones count in the last."""


class Pass(NamedTuple):
    """One pass over the guest's frames: pages sent, and how many of those for the first time."""

    sent: int
    first: int


class EmptyRuns(NamedTuple):
    """Frames that the image lists without contents: runs of one type, in ascending order."""

    first: Integers
    frames: Integers
    type: Integers


class PageIndex:
    """Frames with contents in ascending order: `pfns`, and for each its place.

    It takes 16 bytes a frame. `offsets` and `types` are made of the places when asked for.
    `sent` counts page contents in the image, `listed` entries with or without contents; `passes`
    tells the passes of a live migration or the checkpoints of a checkpointed stream apart.
    `compared` is the index of the pages that follow VERIFY, which are not part of memory.
    """

    def __init__(
        self,
        pfns: Integers,
        places: Integers,
        empty: EmptyRuns,
        *,
        sent: int,
        listed: int,
        passes: tuple[Pass, ...],
        compared: PageIndex | None = None,
    ) -> None:
        self.pfns = pfns
        self.places = places
        self.empty = empty
        self.sent = sent
        self.listed = listed
        self.passes = passes
        self.compared = compared

    def __len__(self) -> int:
        return len(self.pfns)

    @property
    def offsets(self) -> Integers:
        """Where each frame's page begins in the (decompressed) image."""
        return self.places & _OFFSET_MASK

    def offsets_at(self, positions: Integers | slice) -> Integers:
        """Returns where the pages of some frames begin, by their positions in the index."""
        return self.places[positions] & _OFFSET_MASK

    @property
    def types(self) -> Integers:
        """The page type of each frame: a number of PAGE_TYPES."""
        return self.places >> _PLACE_TYPE_SHIFT

    def types_at(self, positions: Integers | slice) -> Integers:
        """Returns the page types of some frames, by their positions in the index."""
        return self.places[positions] >> _PLACE_TYPE_SHIFT

    @property
    def end(self) -> int:
        """The number after that of the highest frame with contents; 0 where there is none."""
        return int(self.pfns[-1]) + 1 if len(self.pfns) else 0

    def find(self, pfn: int) -> int:
        """Returns the position of the first frame whose number is not below `pfn`."""
        return int(np.searchsorted(self.pfns, np.int64(min(pfn, 1 << 62))))

    def offset_of(self, pfn: int) -> int | None:
        """Returns where a frame's contents lie, None where it has none."""
        at = self.find(pfn)
        if at == len(self.pfns) or self.pfns[at] != pfn:
            return None
        return int(self.places[at]) & _OFFSET_MASK

    def type_of(self, pfn: int) -> int | None:
        """Returns a frame's page type, None for a frame that the image does not list."""
        at = self.find(pfn)
        if at < len(self.pfns) and self.pfns[at] == pfn:
            return int(self.places[at]) >> _PLACE_TYPE_SHIFT
        run = int(np.searchsorted(self.empty.first, np.int64(min(pfn, 1 << 62)), "right")) - 1
        if run >= 0 and pfn < self.empty.first[run] + self.empty.frames[run]:
            return int(self.empty.type[run])
        return None

    def type_counts(self) -> dict[str, int]:
        """Returns how many frames there are of each page type, those without contents included."""
        counts = np.bincount(self.types, minlength=16)
        np.add.at(counts, self.empty.type, self.empty.frames)
        return {name: int(counts[number]) for number, name in PAGE_TYPES.items() if counts[number]}


def build_index(batches: Iterable[Batch | Mark]) -> PageIndex:
    """Takes in batches and marks in the order of the stream; `memory.batches` reads them."""
    builder = _Builder()
    for item in batches:
        if isinstance(item, Batch):
            builder.add(item)
        else:
            builder.mark(item)
    return builder.finish()


class _Builder:
    """The columns of an index while the pass over the image goes on."""

    def __init__(self) -> None:
        self._pages = _Pages()
        self._compared = _Pages()
        self._current = self._pages
        self._empty = _Empty()
        self._listed = 0
        self._complete: int | None = None

    def add(self, batch: Batch) -> None:
        self._listed += len(batch.pfns) + len(batch.empty)
        self._current.add(batch)
        if len(batch.empty):
            self._empty.add(batch.empty)

    def mark(self, mark: Mark) -> None:
        if mark is Mark.VERIFY:
            self._current = self._compared
        else:
            self._complete = len(self._pages)

    def finish(self) -> PageIndex:
        sent = len(self._pages) if self._complete is None else self._complete
        pfns, places, passes = self._pages.finish(sent)
        empty = self._empty.finish(pfns)
        compared = None
        if len(self._compared):
            count = len(self._compared)
            again, there, _ = self._compared.finish(count)
            none = EmptyRuns(*(np.empty(0, np.int64) for _ in range(3)))
            compared = PageIndex(again, there, none, sent=count, listed=count, passes=())
        return PageIndex(
            pfns,
            places,
            empty,
            sent=sent,
            listed=self._listed,
            passes=passes,
            compared=compared,
        )


class _Pages:
    """Pages in the order in which they were sent."""

    def __init__(self) -> None:
        self._pfns = Column()
        self._places = Column()
        self._last = -1
        self._passes = [0]

    def __len__(self) -> int:
        return len(self._pfns)

    def add(self, batch: Batch) -> None:
        if not len(batch.pfns):
            return
        # A pass goes up through the frames; the next one begins below where it ended.
        if batch.pfns[0] <= self._last and len(self._passes) < PASSES_LIMIT:
            self._passes.append(len(self._pfns))
        self._last = int(batch.pfns[-1])
        self._pfns.extend(batch.pfns)
        places = batch.offsets
        if batch.types is not None:
            places = places | batch.types << _PLACE_TYPE_SHIFT
        self._places.extend(places)

    def finish(self, count: int) -> tuple[Integers, Integers, tuple[Pass, ...]]:
        """Returns the frames of the first `count` pages, the place of each, and the passes."""
        pfns, places = self._pfns.release()[:count], self._places.release()[:count]
        starts = np.array([start for start in self._passes if start < count], np.int64)
        sent = np.diff(starts, append=count)
        if (pfns[1:] > pfns[:-1]).all():
            return pfns, places, tuple(Pass(int(n), int(n)) for n in sent)
        order = np.argsort(pfns, kind="stable")
        ordered = pfns[order]
        change = ordered[1:] != ordered[:-1]
        first = order[np.concatenate(([True], change))]
        last = np.concatenate((change, [True]))
        new = np.bincount(np.searchsorted(starts, first, "right") - 1, minlength=len(starts))
        passes = tuple(Pass(int(n), int(m)) for n, m in zip(sent, new, strict=True))
        return ordered[last], places[order[last]], passes


class _Empty:
    """Runs of frames without contents, in the order in which they were listed."""

    def __init__(self) -> None:
        self._first = Column()
        self._count = Column()

    def add(self, words: Words) -> None:
        # Neighbours of one type differ by one as whole entries do.
        breaks = np.flatnonzero(words[1:] - words[:-1] != 1) + 1
        starts = np.concatenate(([0], breaks))
        if len(self._first) + len(starts) > EMPTY_RUNS_LIMIT:
            raise LimitExceeded(f"more than {EMPTY_RUNS_LIMIT:,} runs of frames without contents")
        self._first.extend(words[starts].view(np.int64))
        self._count.extend(np.diff(starts, append=len(words)))

    def finish(self, pfns: Integers) -> EmptyRuns:
        """Returns the runs in ascending order, without the frames that have contents."""
        words, counts = self._first.release().view(np.uint64), self._count.release()
        first = (words & np.uint64(PFN_MASK)).astype(np.int64)
        types = (words >> np.uint64(TYPE_SHIFT)).astype(np.int64)
        order = np.argsort(first, kind="stable")
        starts, sizes = first[order], counts[order]
        crossed = np.searchsorted(pfns, starts + sizes) > np.searchsorted(pfns, starts)
        if (starts[1:] < (starts + sizes)[:-1]).any() or crossed.any():
            # In the order of the stream: of a frame that is listed twice the last type counts.
            first, types = _without(first, counts, types, pfns)
            counts = np.ones(len(first), np.int64)
        else:
            first, counts, types = starts, sizes, types[order]
        ends = first + counts
        joined = (first[1:] == ends[:-1]) & (types[1:] == types[:-1])
        starts = np.flatnonzero(np.concatenate(([True], ~joined))) if len(first) else first
        sums = np.add.reduceat(counts, starts) if len(first) else counts
        return EmptyRuns(first[starts], sums, types[starts])


def _without(
    first: Integers, counts: Integers, types: Integers, pfns: Integers
) -> tuple[Integers, Integers]:
    """Returns each frame of the runs once, with its last type, but those of `pfns`.

    The runs may overlap; together they are as many frames as the image lists.
    """
    total = int(counts.sum())
    inside = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    frames = np.repeat(first, counts) + inside
    kinds = np.repeat(types, counts)
    order = np.argsort(frames, kind="stable")
    frames, kinds = frames[order], kinds[order]
    keep = np.concatenate((frames[1:] != frames[:-1], [True]))
    keep &= ~np.isin(frames, pfns, assume_unique=False)
    return frames[keep], kinds[keep]
