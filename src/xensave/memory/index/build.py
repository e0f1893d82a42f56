"""From the batches of a stream to its index, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.batches import Batch, Mark
from xensave.memory.index.empty import EmptyEntries
from xensave.memory.index.last_contents import ascending, last_contents
from xensave.memory.index.page_index import PageIndex, Pass
from xensave.memory.index.runs import (
    PLACE_TYPE_SHIFT,
    Packed,
    RunColumns,
    Runs,
    RunTable,
    packed,
)

PASSES_LIMIT = 1 << 12
"""A live migration makes five passes; the frames of later ones count in the last."""


def build_index(batches: Iterable[Batch | Mark]) -> PageIndex:
    """Takes in batches and marks in the order of the stream; `memory.batches` reads them.

    Meanwhile it takes 14 bytes for each run of pages that was sent (22 where a frame's number has
    more than 32 bits), and where they are not in ascending order 22 for each and 14 for each of
    those that are left.
    """
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
        self._empty = EmptyEntries()
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
            compared = PageIndex(again.columns, sent=again.frames, listed=again.frames)
        return PageIndex(
            sent.columns,
            self._empty.finish(RunTable(sent.columns)),
            sent=sent.frames,
            listed=self._listed,
            passes=sent.passes,
            compared=compared,
        )


class _Sent(NamedTuple):
    """What pages come to: the last contents of each frame, all pages, and the passes."""

    columns: Packed
    frames: int
    passes: tuple[Pass, ...]


class _Pages:
    """Pages in the order in which they were sent, as runs."""

    def __init__(self) -> None:
        self._runs = RunColumns()
        self._last = -1
        self._passes = [0]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._runs)

    def add(self, batch: Batch) -> None:
        pfns = batch.pfns
        if not len(pfns):
            return
        # A pass goes up through the frames; the next one begins below where it ended.
        if pfns[0] <= self._last and len(self._passes) < PASSES_LIMIT:
            self._passes.append(self.runs)
        self._last = int(pfns[-1])
        breaks = pfns[1:] - pfns[:-1] != 1
        if batch.types is not None:
            breaks |= batch.types[1:] != batch.types[:-1]
        elif not breaks.any():
            self._runs.append(int(pfns[0]), batch.start, len(pfns))
            return
        at = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        places = batch.start + at * PAGE_SIZE
        if batch.types is not None:
            places |= batch.types[at] << PLACE_TYPE_SHIFT
        self._runs.extend(Runs(pfns[at], places, np.diff(at, append=len(pfns))))

    def finish(self, count: int | None = None) -> _Sent:
        """Returns what the first `count` runs come to, by default all."""
        runs = self._runs.release(count)
        begins = np.array([run for run in self._passes if run < len(runs.first)], np.int64)
        if not len(begins):
            return _Sent(packed(runs), 0, ())
        sent = np.add.reduceat(runs.frames, begins, dtype=np.int64)
        new = sent
        if not ascending(runs):
            runs, new = last_contents(runs, begins)
        passes = tuple(map(Pass, sent.tolist(), new.tolist()))
        return _Sent(packed(runs), int(sent.sum()), passes)
