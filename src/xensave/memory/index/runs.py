"""Runs of frames: as an image's pages come, and packed as the index keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.column import Column, Integers, NarrowColumn, Numbers

WINDOW = 1 << 16
"""Runs that are looked at together: their arrays stay in a processor's cache."""

PLACE_TYPE_SHIFT = 56
OFFSET_MASK = (1 << PLACE_TYPE_SHIFT) - 1
"""A place is an offset in the image (bits 0 - 55) and a page type (bits 56 - 59)."""

_WORD = np.iinfo(np.uint32)
MOST = 1 << 62
"""Above each number of a frame."""


class Runs(NamedTuple):
    """Some frames with contents: the first of each run, the place of that one, and how many."""

    first: Integers
    place: Integers
    frames: Integers

    @property
    def ends(self) -> Integers:
        """The frame after the last one of each run."""
        return self.first + self.frames

    @property
    def offset(self) -> Integers:
        """Where each run's first page begins in the (decompressed) image."""
        return self.place & OFFSET_MASK

    @property
    def type(self) -> Integers:
        """The page type of each run: a number of PAGE_TYPES."""
        return self.place >> PLACE_TYPE_SHIFT

    def begins(self, places: Integers | None = None) -> npt.NDArray[np.bool_]:
        """Tells which runs do not follow the one before them, in memory or by their places."""
        begins = np.ones(len(self.first), np.bool_)
        begins[1:] = self.first[1:] != self.ends[:-1]
        if places is not None:
            begins[1:] |= places[1:] != (places + self.frames * PAGE_SIZE)[:-1]
        return begins


class NarrowRuns(NamedTuple):
    """Runs by the million, in narrow columns; the numbers in them are not for arithmetic."""

    first: Numbers
    place: Integers
    frames: Numbers

    def window(self, at: int) -> Runs:
        """Returns WINDOW runs from one on."""
        part = slice(at, at + WINDOW)
        first, frames = self.first[part].astype(np.int64), self.frames[part].astype(np.int64)
        return Runs(first, self.place[part], frames)


class RunColumns:
    """Runs as they are appended: 14 bytes each of a guest of less than 16 TiB."""

    def __init__(self) -> None:
        self._first, self._place, self._frames = NarrowColumn(), Column(), NarrowColumn()

    def __len__(self) -> int:
        return len(self._place)

    def extend(self, runs: Runs) -> None:
        """Appends runs."""
        self._first.extend(runs.first)
        self._place.extend(runs.place)
        self._frames.extend(runs.frames)

    def release(self, count: int | None = None) -> NarrowRuns:
        """Returns the first `count` runs, by default all; none is left here."""
        first, place, frames = self._first, self._place, self._frames
        self._first, self._place, self._frames = NarrowColumn(), Column(), NarrowColumn()
        return NarrowRuns(
            first.release()[:count], place.release()[:count], frames.release()[:count]
        )


def spread(of_first: Integers, frames: Integers, step: int = 1) -> Integers:
    """Returns a value for each frame of runs: that of its run's first one, and a step for each.

    >>> spread(np.array([7, 40]), np.array([3, 2])).tolist()
    [7, 8, 9, 40, 41]
    """
    before = np.cumsum(frames) - frames
    values: Integers = np.repeat(of_first - before * step, frames)
    values += np.arange(0, len(values) * step, step)
    return values


class Packed(NamedTuple):
    """Runs in ascending order, in the least room: the first frame of each, and its place.

    `starts` has for each run its position among all frames, and behind the last run how many
    frames there are; it is None where each run is one frame.
    """

    first: Numbers
    place: Integers
    starts: Numbers | None


def packed(runs: NarrowRuns) -> Packed:
    """Returns runs, which are in ascending order, with as many or as one a frame.

    What takes less: 16 bytes a run, or 12 a frame; that is of frames below 2 ** 32. So no frame
    takes more than 12, and none of higher ones more than 16.
    """
    total = int(runs.frames.sum(dtype=np.int64))
    width = np.dtype(np.uint32 if total <= _WORD.max else np.int64)
    a_frame = runs.first.itemsize + runs.place.itemsize
    if len(runs.first) * (a_frame + width.itemsize) > total * a_frame:
        return Packed(*_frame_by_frame(runs, total), None)
    starts: Numbers = np.zeros(len(runs.frames) + 1, width)
    np.cumsum(runs.frames, dtype=width, out=starts[1:])
    return Packed(runs.first, runs.place, starts)


def _frame_by_frame(runs: NarrowRuns, total: int) -> tuple[Numbers, Integers]:
    """Returns the number and the place of each frame."""
    if total == len(runs.first):
        return runs.first, runs.place
    pfns, places = np.empty(total, runs.first.dtype), np.empty(total, np.int64)
    end = 0
    for at in range(0, len(runs.first), WINDOW):
        first, place, frames = runs.window(at)
        begin, end = end, end + int(frames.sum())
        pfns[begin:end] = spread(first, frames)
        places[begin:end] = spread(place, frames, PAGE_SIZE)
    return pfns, places


class RunTable:
    """Frames with contents, looked up by their numbers.

    They are runs in ascending order: of one page type, one behind another in memory and in the
    image. Where that takes less room, each frame is a run of its own.
    """

    def __init__(self, columns: Packed) -> None:
        self._first, self._place, self._starts = columns

    def __len__(self) -> int:
        return len(self._first) if self._starts is None else int(self._starts[-1])

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._first)

    @property
    def nbytes(self) -> int:
        """The bytes that the columns take."""
        starts = 0 if self._starts is None else self._starts.nbytes
        return self._first.nbytes + self._place.nbytes + starts

    @property
    def end(self) -> int:
        """The number after that of the highest frame with contents; 0 where there is none."""
        last = self.runs - 1
        return int(self._first[last]) + self._frames_of(last) if last >= 0 else 0

    def windows(self, run: int = 0) -> Iterator[Runs]:
        """Yields the runs from one on, some at a time."""
        for at in range(run, self.runs, WINDOW):
            part = slice(at, at + WINDOW)
            yield Runs(
                self._first[part].astype(np.int64), self._place[part], self._frames(at, at + WINDOW)
            )

    def find(self, pfn: int) -> int:
        """Returns the position of the first frame whose number is not below `pfn`."""
        return int(self.positions(np.array([min(pfn, MOST)]))[0])

    def positions(self, pfns: Integers) -> Integers:
        """Returns for each number how many frames are below it."""
        if not self.runs:
            return np.zeros(len(pfns), np.int64)
        runs, inside = self._within(pfns)
        starts = self._start(runs)
        below: Integers = np.minimum(starts + np.maximum(inside, 0), self._start(runs + 1))
        return below

    def offsets_of(self, pfns: Integers) -> Integers:
        """Returns where the contents of each frame lie, -1 for one that has none."""
        if not self.runs:
            return np.full(len(pfns), -1)
        runs, inside = self._within(pfns)
        there = (inside >= 0) & (inside < self._start(runs + 1) - self._start(runs))
        return np.where(there, (self._place[runs] & OFFSET_MASK) + inside * PAGE_SIZE, -1)

    def offset_of(self, pfn: int) -> int | None:
        """Returns where a frame's contents lie, None where it has none."""
        together = self.together(pfn)
        return together[0] if together is not None else None

    def together(self, pfn: int) -> tuple[int, int] | None:
        """Returns where a frame's contents lie, and how many frames from it on lie there.

        None where it has no contents.
        """
        run, inside = self._holding(pfn)
        if run < 0:
            return None
        place = int(self._place[run]) & OFFSET_MASK
        return place + inside * PAGE_SIZE, self._frames_of(run) - inside

    def run_above(self, pfn: int) -> int:
        """Returns the number of the first run that begins at a frame or above it."""
        # A number of another type would have the whole column converted.
        width = self._first.dtype
        most = int(np.iinfo(width).max)
        if pfn > most:
            return self.runs
        return int(self._first.searchsorted(width.type(max(pfn, 0))))

    def first_of(self, run: int) -> int:
        """Returns the first frame of a run."""
        return int(self._first[run])

    def place_of(self, pfn: int) -> int | None:
        """Returns the place of the run that holds a frame, None where it has no contents."""
        run, _ = self._holding(pfn)
        return None if run < 0 else int(self._place[run])

    def _holding(self, pfn: int) -> tuple[int, int]:
        """Returns the run that holds a frame, -1 where none does, and how far inside it is."""
        run = self.run_above(pfn + 1) - 1
        inside = pfn - int(self._first[run]) if run >= 0 else 0
        return (run, inside) if run >= 0 and inside < self._frames_of(run) else (-1, 0)

    def _within(self, pfns: Integers) -> tuple[Integers, Integers]:
        """Returns the last run that begins at each frame or below, and how far inside it is.

        The first run, where none begins so low.
        """
        width = self._first.dtype
        keys = np.clip(pfns, 0, int(np.iinfo(width).max)).astype(width)
        runs = np.maximum(np.searchsorted(self._first, keys, "right") - 1, 0)
        return runs, pfns - self._first[runs].astype(np.int64)

    def _start(self, runs: Integers) -> Integers:
        return runs if self._starts is None else self._starts[runs].astype(np.int64)

    def _frames_of(self, run: int) -> int:
        return 1 if self._starts is None else int(self._starts[run + 1]) - int(self._starts[run])

    def _frames(self, run: int, end: int) -> Integers:
        if self._starts is None:
            return np.ones(min(end, self.runs) - run, np.int64)
        starts = self._starts[run : end + 1].astype(np.int64)
        return starts[1:] - starts[:-1]
