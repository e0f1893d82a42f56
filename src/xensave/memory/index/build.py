"""From the batches of a stream to its index, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.batches import Batch, BatchRows, Mark
from xensave.memory.column import Integers
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


def build_index(batches: Iterable[Batch | BatchRows | Mark]) -> PageIndex:
    """Takes in batches and marks in the order of the stream; `memory.batches` reads them.

    Meanwhile it takes 14 bytes for each run of pages that was sent (22 where a frame's number has
    more than 32 bits), and where they are not in ascending order 22 for each and 14 for each of
    those that are left.
    """
    builder = _Builder()
    for item in batches:
        if isinstance(item, Batch):
            builder.add(item)
        elif isinstance(item, BatchRows):
            builder.add_all(item)
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
        if len(batch.empty):
            self._listed += len(batch.empty)
            self._empty.add(batch.empty)
        if len(batch.pfns):
            types = None if batch.types is None else batch.types[np.newaxis]
            self.add_all(BatchRows(batch.pfns[np.newaxis], batch.start, types=types))

    def add_all(self, batches: BatchRows) -> None:
        self._listed += batches.pfns.size
        self._current.add(batches)

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

    def add(self, batches: BatchRows) -> None:
        pfns, types = batches.pfns, batches.types
        rows, count = pfns.shape
        begins = np.ones(pfns.shape, np.bool_)
        begins[:, 1:] = pfns[:, 1:] - pfns[:, :-1] != 1
        if types is not None:
            begins[:, 1:] |= types[:, 1:] != types[:, :-1]
        at = np.flatnonzero(begins)
        row, inside = np.divmod(at, count)
        places = batches.start + row * batches.stride + inside * PAGE_SIZE
        if types is not None:
            places |= types[row, inside] << PLACE_TYPE_SHIFT
        self._begin_passes(pfns[:, 0], pfns[:, -1], np.searchsorted(row, np.arange(rows)))
        self._runs.extend(Runs(pfns[row, inside], places, np.diff(at, append=rows * count)))

    def _begin_passes(self, firsts: Integers, lasts: Integers, runs: Integers) -> None:
        """Notes the passes that begin with records: their first frames, their last, first runs.

        A pass goes up through the frames; the next one begins below where it ended.
        """
        again = np.flatnonzero(firsts <= np.append(self._last, lasts[:-1]))
        self._passes += (self.runs + runs[again[: PASSES_LIMIT - len(self._passes)]]).tolist()
        self._last = int(lasts[-1])

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
