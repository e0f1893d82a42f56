"""The index itself: frames with contents, those without, and the passes that sent them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.memory.column import Integers
from xensave.memory.index.empty import NO_EMPTY_RUNS, EmptyRuns
from xensave.memory.index.runs import MOST, PLACE_TYPE_SHIFT, Packed, Runs, RunTable, spread


class Pass(NamedTuple):
    """One pass over the guest's frames: pages sent, and how many of those for the first time."""

    sent: int
    first: int


class PageIndex(RunTable):
    """Frames with contents, as runs in ascending order: what is alike costs one run.

    A record as Xen writes it is one run, or a few. A run takes 16 bytes, a frame 12 at most; where
    a frame has a number above 2 ** 32 (16 TiB), 20 and 16.

    `pfns`, `offsets` and `types` are of each frame, made of the runs when asked for. `sent` counts
    page contents in the image, `listed` entries with or without contents; `passes` tells the
    passes of a live migration or the checkpoints of a checkpointed stream apart. `compared` is the
    index of the pages that follow VERIFY, which are not part of memory.
    """

    def __init__(
        self,
        columns: Packed,
        empty: EmptyRuns = NO_EMPTY_RUNS,
        *,
        sent: int = 0,
        listed: int = 0,
        passes: tuple[Pass, ...] = (),
        compared: PageIndex | None = None,
    ) -> None:
        super().__init__(columns)
        self.empty = empty
        self.sent = sent
        self.listed = listed
        self.passes = passes
        self.compared = compared

    @property
    def pfns(self) -> Integers:
        """The number of each frame."""
        return self._of_frames(lambda runs: spread(runs.first, runs.frames))

    @property
    def offsets(self) -> Integers:
        """Where each frame's page begins in the (decompressed) image."""
        return self._of_frames(lambda runs: spread(runs.offset, runs.frames, PAGE_SIZE))

    @property
    def types(self) -> Integers:
        """The page type of each frame: a number of PAGE_TYPES."""
        return self._of_frames(lambda runs: np.repeat(runs.type, runs.frames))

    def type_of(self, pfn: int) -> int | None:
        """Returns a frame's page type, None for a frame that the image does not list."""
        place = self.place_of(pfn)
        if place is not None:
            return place >> PLACE_TYPE_SHIFT
        run = int(np.searchsorted(self.empty.first, np.int64(min(pfn, MOST)), "right")) - 1
        if run >= 0 and pfn < self.empty.first[run] + self.empty.frames[run]:
            return int(self.empty.type[run])
        return None

    def type_counts(self) -> dict[str, int]:
        """Returns how many frames there are of each page type, those without contents included."""
        counts = np.zeros(16, np.int64)
        for runs in self.windows():
            np.add.at(counts, runs.type, runs.frames)
        np.add.at(counts, self.empty.type, self.empty.frames)
        return {name: int(counts[number]) for number, name in PAGE_TYPES.items() if counts[number]}

    def _of_frames(self, spread_out: Callable[[Runs], Integers]) -> Integers:
        """Returns what a function makes of all runs: a value for each frame."""
        values = np.empty(len(self), np.int64)
        end = 0
        for runs in self.windows():
            begin, end = end, end + int(runs.frames.sum())
            values[begin:end] = spread_out(runs)
        return values
