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
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SIZE, PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.errors import LimitExceeded
from xensave.memory.batches import Batch, Mark, Words
from xensave.memory.column import Column, Integers

_PLACE_TYPE_SHIFT = 56
_OFFSET_MASK = (1 << _PLACE_TYPE_SHIFT) - 1
"""A place is an offset in the image (bits 0 - 55) and a page type (bits 56 - 59)."""

_MOST = 1 << 62
"""Above each number of a frame."""

EMPTY_RUNS_LIMIT = 1 << 24
"""More runs of frames without contents than any guest has: 16 bytes each."""

PASSES_LIMIT = 1 << 12
"""A live migration makes five passes; the frames of later ones count in the last."""


class Pass(NamedTuple):
    """One pass over the guest's frames: pages sent, and how many of those for the first time."""

    sent: int
    first: int


class Runs(NamedTuple):
    """Frames with contents: the first of each run, the place of that one, and how many."""

    first: Integers
    place: Integers
    frames: Integers


class EmptyRuns(NamedTuple):
    """Frames that the image lists without contents: runs of one type, in ascending order."""

    first: Integers
    frames: Integers
    type: Integers


NO_EMPTY_RUNS = EmptyRuns(*(np.empty(0, np.int64) for _ in range(3)))


class PageIndex:
    """Frames with contents, as runs in ascending order: what is alike costs one run.

    A run has frames of one page type that follow one another in memory and in the image: `firsts`
    is its first frame, `places` that one's place, `starts` its position among all frames, and
    behind the last run's how many there are. That is 24 bytes a run; a record as Xen writes it is
    one, or a few.

    `pfns`, `offsets` and `types` are of each frame, made of the runs when asked for. `sent` counts
    page contents in the image, `listed` entries with or without contents; `passes` tells the
    passes of a live migration or the checkpoints of a checkpointed stream apart. `compared` is the
    index of the pages that follow VERIFY, which are not part of memory.
    """

    def __init__(
        self,
        runs: Runs,
        empty: EmptyRuns = NO_EMPTY_RUNS,
        *,
        sent: int = 0,
        listed: int = 0,
        passes: tuple[Pass, ...] = (),
        compared: PageIndex | None = None,
    ) -> None:
        self.firsts, self.places, frames = runs
        self.starts = np.concatenate(([0], np.cumsum(frames)))
        self.empty = empty
        self.sent = sent
        self.listed = listed
        self.passes = passes
        self.compared = compared

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def frames(self) -> Integers:
        """How many frames each run has."""
        return np.diff(self.starts)

    @property
    def ends(self) -> Integers:
        """The frame after the last one of each run."""
        return self.firsts + self.frames

    @property
    def run_offsets(self) -> Integers:
        """Where each run's first page begins in the (decompressed) image."""
        return self.places & _OFFSET_MASK

    @property
    def run_types(self) -> Integers:
        """The page type of each run: a number of PAGE_TYPES."""
        return self.places >> _PLACE_TYPE_SHIFT

    @property
    def pfns(self) -> Integers:
        """The number of each frame."""
        return _spread(self.firsts, self.frames)

    @property
    def offsets(self) -> Integers:
        """Where each frame's page begins in the (decompressed) image."""
        return _spread(self.run_offsets, self.frames, PAGE_SIZE)

    @property
    def types(self) -> Integers:
        """The page type of each frame: a number of PAGE_TYPES."""
        return np.repeat(self.run_types, self.frames)

    @property
    def end(self) -> int:
        """The number after that of the highest frame with contents; 0 where there is none."""
        return int(self.firsts[-1] + self.starts[-1] - self.starts[-2]) if len(self) else 0

    def find(self, pfn: int) -> int:
        """Returns the position of the first frame whose number is not below `pfn`."""
        return int(self.positions(np.array([min(pfn, _MOST)]))[0])

    def positions(self, pfns: Integers) -> Integers:
        """Returns for each number how many frames are below it."""
        if not len(self):
            return np.zeros(len(pfns), np.int64)
        runs = np.maximum(np.searchsorted(self.firsts, pfns, "right") - 1, 0)
        inside = np.maximum(pfns - self.firsts[runs], 0)
        below: Integers = np.minimum(self.starts[runs] + inside, self.starts[runs + 1])
        return below

    def offsets_of(self, pfns: Integers) -> Integers:
        """Returns where the contents of each frame lie, -1 for one that has none."""
        if not len(self):
            return np.full(len(pfns), -1)
        runs = np.maximum(np.searchsorted(self.firsts, pfns, "right") - 1, 0)
        inside = pfns - self.firsts[runs]
        there = (inside >= 0) & (inside < self.starts[runs + 1] - self.starts[runs])
        return np.where(there, (self.places[runs] & _OFFSET_MASK) + inside * PAGE_SIZE, -1)

    def offset_of(self, pfn: int) -> int | None:
        """Returns where a frame's contents lie, None where it has none."""
        together = self.together(pfn)
        return together[0] if together is not None else None

    def together(self, pfn: int) -> tuple[int, int] | None:
        """Returns where a frame's contents lie, and how many frames from it on lie there.

        None where it has no contents.
        """
        run = self.run_above(pfn + 1) - 1
        if run < 0:
            return None
        inside = pfn - int(self.firsts[run])
        left = int(self.starts[run + 1] - self.starts[run]) - inside
        if left <= 0:
            return None
        return (int(self.places[run]) & _OFFSET_MASK) + inside * PAGE_SIZE, left

    def run_above(self, pfn: int) -> int:
        """Returns the number of the first run that begins at a frame or above it."""
        return int(np.searchsorted(self.firsts, np.int64(min(pfn, _MOST))))

    def type_of(self, pfn: int) -> int | None:
        """Returns a frame's page type, None for a frame that the image does not list."""
        if self.together(pfn) is not None:
            return int(self.places[self.run_above(pfn + 1) - 1]) >> _PLACE_TYPE_SHIFT
        run = int(np.searchsorted(self.empty.first, np.int64(min(pfn, _MOST)), "right")) - 1
        if run >= 0 and pfn < self.empty.first[run] + self.empty.frames[run]:
            return int(self.empty.type[run])
        return None

    def type_counts(self) -> dict[str, int]:
        """Returns how many frames there are of each page type, those without contents included."""
        counts = np.zeros(16, np.int64)
        np.add.at(counts, self.run_types, self.frames)
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
            self._complete = self._pages.runs

    def finish(self) -> PageIndex:
        sent = self._pages.finish(self._complete)
        compared = None
        if self._compared.runs:
            again = self._compared.finish()
            compared = PageIndex(again.runs, sent=again.frames, listed=again.frames)
        return PageIndex(
            sent.runs,
            self._empty.finish(PageIndex(sent.runs)),
            sent=sent.frames,
            listed=self._listed,
            passes=sent.passes,
            compared=compared,
        )


class _Sent(NamedTuple):
    """What pages come to: the last contents of each frame, all pages, and the passes."""

    runs: Runs
    frames: int
    passes: tuple[Pass, ...]


class _Pages:
    """Pages in the order in which they were sent, as runs."""

    def __init__(self) -> None:
        self._first, self._place, self._frames = Column(), Column(), Column()
        self._sent = 0
        self._last = -1
        self._passes = [0]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._first)

    def add(self, batch: Batch) -> None:
        pfns = batch.pfns
        if not len(pfns):
            return
        # A pass goes up through the frames; the next one begins below where it ended.
        if pfns[0] <= self._last and len(self._passes) < PASSES_LIMIT:
            self._passes.append(self._sent)
        self._last = int(pfns[-1])
        self._sent += len(pfns)
        breaks = pfns[1:] - pfns[:-1] != 1
        if batch.types is not None:
            breaks |= batch.types[1:] != batch.types[:-1]
        elif not breaks.any():
            self._first.append(int(pfns[0]))
            self._place.append(batch.start)
            self._frames.append(len(pfns))
            return
        at = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        places = batch.start + at * PAGE_SIZE
        if batch.types is not None:
            places |= batch.types[at] << _PLACE_TYPE_SHIFT
        self._first.extend(pfns[at])
        self._place.extend(places)
        self._frames.extend(np.diff(at, append=len(pfns)))

    def finish(self, count: int | None = None) -> _Sent:
        """Returns what the first `count` runs come to, by default all."""
        columns = (self._first, self._place, self._frames)
        runs = Runs(*(column.release()[:count] for column in columns))
        total = int(runs.frames.sum())
        begins = np.array([start for start in self._passes if start < total], np.int64)
        sent = np.diff(begins, append=total)
        if (runs.first[1:] >= (runs.first + runs.frames)[:-1]).all():
            return _Sent(runs, total, tuple(Pass(n, n) for n in sent.tolist()))
        pfns = _spread(runs.first, runs.frames)
        order = np.argsort(pfns, kind="stable")
        ordered = pfns[order]
        change = ordered[1:] != ordered[:-1]
        first = order[np.concatenate(([True], change))]
        last = np.concatenate((change, [True]))
        new = np.bincount(np.searchsorted(begins, first, "right") - 1, minlength=len(begins))
        passes = tuple(map(Pass, sent.tolist(), new.tolist()))
        places = _spread(runs.place, runs.frames, PAGE_SIZE)
        return _Sent(_runs_of(ordered[last], places[order[last]]), total, passes)


def _spread(of_first: Integers, frames: Integers, step: int = 1) -> Integers:
    """Returns a value for each frame of runs: that of its run's first one, and a step for each.

    >>> _spread(np.array([7, 40]), np.array([3, 2])).tolist()
    [7, 8, 9, 40, 41]
    """
    before = np.cumsum(frames) - frames
    values: Integers = np.repeat(of_first - before * step, frames)
    values += np.arange(0, len(values) * step, step)
    return values


def _runs_of(pfns: Integers, places: Integers) -> Runs:
    """Returns frames, in ascending order, as runs."""
    breaks = (np.diff(pfns) != 1) | (np.diff(places) != PAGE_SIZE)
    at = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    return Runs(pfns[at], places[at], np.diff(at, append=len(pfns)))


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

    def finish(self, index: PageIndex) -> EmptyRuns:
        """Returns the runs in ascending order, without the frames that have contents."""
        words, frames = self._first.release().view(np.uint64), self._count.release()
        first = (words & np.uint64(PFN_MASK)).astype(np.int64)
        types = (words >> np.uint64(TYPE_SHIFT)).astype(np.int64)
        if not len(first):
            return NO_EMPTY_RUNS
        crossed = _crossed(first, first + frames, index)
        # In the order of the stream: of a frame that is listed twice the last type counts.
        again = _without(first[crossed], frames[crossed], types[crossed], index)
        once = EmptyRuns(first[~crossed], frames[~crossed], types[~crossed])
        first, frames, types = map(np.concatenate, zip(once, again, strict=True))
        order = np.argsort(first, kind="stable")
        first, frames, types = first[order], frames[order], types[order]
        begins = np.ones(len(first), np.bool_)
        begins[1:] = (first[1:] != (first + frames)[:-1]) | (types[1:] != types[:-1])
        starts = np.flatnonzero(begins)
        sums = np.add.reduceat(frames, starts) if len(starts) else frames
        return EmptyRuns(first[starts], sums, types[starts])


def _crossed(first: Integers, ends: Integers, index: PageIndex) -> npt.NDArray[np.bool_]:
    """Tells which runs have a frame with contents, or one of another run."""
    crossed = index.positions(ends) > index.positions(first)
    order = np.argsort(first, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    overlaps = np.append(first[order][1:] < reach[:-1], False)
    overlaps[1:] |= overlaps[:-1]
    crossed[order] |= overlaps
    return crossed


def _without(first: Integers, frames: Integers, types: Integers, index: PageIndex) -> EmptyRuns:
    """Returns each frame of runs, that may overlap, once with its last type, but those of an index.

    Together they are as many frames as the image lists.
    """
    pfns = _spread(first, frames)
    kinds = np.repeat(types, frames)
    order = np.argsort(pfns, kind="stable")
    pfns, kinds = pfns[order], kinds[order]
    last = np.append(pfns[1:] != pfns[:-1], True)[: len(pfns)]
    last &= index.offsets_of(pfns) < 0
    return EmptyRuns(pfns[last], np.ones(last.sum(), np.int64), kinds[last])
