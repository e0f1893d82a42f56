"""All of a guest's contents in ascending order, without the holes of the image's file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.memory.physical import FrameRun, Memory
from xensave.source.limits import SKIP_CHUNK
from xensave.source.memory import MemorySource


def contents(memory: Memory) -> Iterator[tuple[int, bytes | memoryview]]:
    """Yields frame numbers and whole pages from there on, in ascending order, a MiB at most.

    Pages in a hole of the file hold zeros, and are left out, but for one on either side of data.
    """
    source = memory.mapped()
    for run in runs_with_data(memory, beside=1):
        for at in range(0, run.frames, SKIP_CHUNK >> PAGE_SHIFT):
            count = min(SKIP_CHUNK >> PAGE_SHIFT, run.frames - at)
            offset = run.offset + (at << PAGE_SHIFT)
            yield run.pfn + at, source.read_range(offset, count << PAGE_SHIFT)


def runs_with_data(memory: Memory, *, beside: int = 0) -> Iterator[FrameRun]:
    """Yields `Memory.file_runs` without the pages in a hole of the file.

    So many pages on either side of data may lie in it.
    """
    source = memory.mapped()
    for run in memory.file_runs():
        for low, high in pages_with_data(source, run, beside=beside):
            yield FrameRun(run.pfn + low, high - low, run.offset + (low << PAGE_SHIFT))


class Cutter:
    """Cuts runs of frames in ascending order at parts in ascending order, in one pass over both."""

    def __init__(self, runs: Iterable[FrameRun]) -> None:
        self._runs = iter(runs)
        self._run = next(self._runs, None)

    def within(self, part: FrameRun) -> Iterator[FrameRun]:
        """Yields what of the runs lies in a part, which begins where the one before ended or later.

        >>> cutter = Cutter([FrameRun(1, 4, 0x1000), FrameRun(7, 1, 0x9000)])
        >>> list(cutter.within(FrameRun(2, 2))), list(cutter.within(FrameRun(4, 9)))[1].pfn
        ([FrameRun(pfn=2, frames=2, offset=8192)], 7)
        """
        end = part.pfn + part.frames
        while (run := self._run) is not None and run.pfn < end:
            first, last = max(run.pfn, part.pfn), min(run.pfn + run.frames, end)
            if first < last:
                yield FrameRun(first, last - first, run.offset + (first - run.pfn << PAGE_SHIFT))
            if run.pfn + run.frames > end:
                return
            self._run = next(self._runs, None)


def pages_with_data(
    source: MemorySource, run: FrameRun, *, beside: int = 0
) -> Iterator[tuple[int, int]]:
    """Yields the pages of a run, counted from its first, that are no hole, or beside such ones."""
    first = end = 0
    for offset, length in source.data_runs(run.offset, run.size):
        at = offset - run.offset
        low = max(0, (at >> PAGE_SHIFT) - beside)
        high = min(run.frames, (at + length + PAGE_SIZE - 1 >> PAGE_SHIFT) + beside)
        if low <= end:
            end = high
            continue
        if end > first:
            yield first, end
        first, end = low, high
    if end > first:
        yield first, end
