"""Frames that an image lists without contents: broken, not allocated, or not there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.errors import LimitExceeded
from xensave.memory.batches import Words
from xensave.memory.column import Column, Integers
from xensave.memory.index.runs import RunTable, spread

EMPTY_RUNS_LIMIT = 1 << 24
"""More runs of frames without contents than any guest has: 16 bytes each."""


class EmptyRuns(NamedTuple):
    """Frames that the image lists without contents: runs of one type, in ascending order."""

    first: Integers
    frames: Integers
    type: Integers


NO_EMPTY_RUNS = EmptyRuns(*(np.empty(0, np.int64) for _ in range(3)))


class EmptyEntries:
    """Runs of frames without contents, in the order in which they were listed."""

    def __init__(self) -> None:
        self._first = Column()
        self._count = Column()

    def add(self, words: Words) -> None:
        """Appends the entries of a record. Raises LimitExceeded where they are too many runs."""
        # Neighbours of one type differ by one as whole entries do.
        breaks = np.flatnonzero(words[1:] - words[:-1] != 1) + 1
        starts = np.concatenate(([0], breaks))
        if len(self._first) + len(starts) > EMPTY_RUNS_LIMIT:
            raise LimitExceeded(f"more than {EMPTY_RUNS_LIMIT:,} runs of frames without contents")
        self._first.extend(words[starts].view(np.int64))
        self._count.extend(np.diff(starts, append=len(words)))

    def finish(self, table: RunTable) -> EmptyRuns:
        """Returns the runs in ascending order, without the frames that have contents."""
        words, frames = self._first.release().view(np.uint64), self._count.release()
        first = (words & np.uint64(PFN_MASK)).astype(np.int64)
        types = (words >> np.uint64(TYPE_SHIFT)).astype(np.int64)
        if not len(first):
            return NO_EMPTY_RUNS
        crossed = _crossed(first, first + frames, table)
        # In the order of the stream: of a frame that is listed twice the last type counts.
        again = _without(first[crossed], frames[crossed], types[crossed], table)
        once = EmptyRuns(first[~crossed], frames[~crossed], types[~crossed])
        first, frames, types = map(np.concatenate, zip(once, again, strict=True))
        order = np.argsort(first, kind="stable")
        first, frames, types = first[order], frames[order], types[order]
        begins = np.ones(len(first), np.bool_)
        begins[1:] = (first[1:] != (first + frames)[:-1]) | (types[1:] != types[:-1])
        starts = np.flatnonzero(begins)
        sums = np.add.reduceat(frames, starts) if len(starts) else frames
        return EmptyRuns(first[starts], sums, types[starts])


def _crossed(first: Integers, ends: Integers, table: RunTable) -> npt.NDArray[np.bool_]:
    """Tells which runs have a frame with contents, or one of another run."""
    crossed = table.positions(ends) > table.positions(first)
    order = np.argsort(first, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    overlaps = np.append(first[order][1:] < reach[:-1], False)
    overlaps[1:] |= overlaps[:-1]
    crossed[order] |= overlaps
    return crossed


def _without(first: Integers, frames: Integers, types: Integers, table: RunTable) -> EmptyRuns:
    """Returns each frame of runs, that may overlap, once with its last type, but those of a table.

    Together they are as many frames as the image lists.
    """
    pfns = spread(first, frames)
    kinds = np.repeat(types, frames)
    order = np.argsort(pfns, kind="stable")
    pfns, kinds = pfns[order], kinds[order]
    last = np.append(pfns[1:] != pfns[:-1], True)[: len(pfns)]
    last &= table.offsets_of(pfns) < 0
    return EmptyRuns(pfns[last], np.ones(last.sum(), np.int64), kinds[last])
