"""All of a guest's contents in ascending order, without the holes of the image's file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.memory.physical import FrameColumns, FrameRun, Memory
from xensave.source.limits import SKIP_CHUNK
from xensave.source.memory import MemorySource

BLOCK = 1 << 19
"""Bytes of runs that are read and looked at together: few enough to stay in a core's cache."""

BLOCK_LIMIT = BLOCK + SKIP_CHUNK
"""A block has fewer bytes than these, whose last run may be as long as one may be."""


def contents(memory: Memory) -> Iterator[tuple[int, bytes | memoryview]]:
    """Yields frame numbers and whole pages from there on, in ascending order.

    Some at a time, which are overwritten by what comes next. Pages in a hole of the file hold
    zeros, and are left out, but for one on either side of data.
    """
    source = memory.mapped()
    room = memoryview(bytearray(BLOCK_LIMIT))
    for block in blocks(with_data(source, memory.columns(together=True), beside=1)):
        if len(block.first) == 1:
            offset, size = int(block.offset[0]), int(block.sizes[0])
            yield int(block.first[0]), source.read_range(offset, size)
            continue
        yield from stretches(block, gathered(source, block, room))


def stretches(block: FrameColumns, pages: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the frames of a block that follow one another in memory: the first, and their pages.

    `pages` are those of the block, one behind another.
    """
    begins = np.ones(len(block.first), np.bool_)
    begins[1:] = block.first[1:] != block.ends[:-1]
    at = np.flatnonzero(begins)
    low = (np.cumsum(block.sizes) - block.sizes)[at]
    high = np.append(low[1:], len(pages))
    for pfn, start, end in zip(block.first[at].tolist(), low.tolist(), high.tolist(), strict=True):
        yield pfn, pages[start:end]


def gathered(source: MemorySource, block: FrameColumns, room: memoryview) -> memoryview:
    """Returns the pages of a block, one behind another, read to the begin of `room`."""
    ends = np.cumsum(block.sizes)
    starts = (ends - block.sizes).tolist()
    size = int(ends[-1])
    parts = [room[low:high] for low, high in zip(starts, ends.tolist(), strict=True)]
    source.gather(block.offset.tolist(), parts)
    return room[:size]


def blocks(
    windows: Iterable[FrameColumns], frames: int = BLOCK >> PAGE_SHIFT
) -> Iterator[FrameColumns]:
    """Cuts runs and gathers them into blocks.

    A run has twice `frames` at most, and so has a block up to its last run.
    """
    longest = 2 * frames
    for columns in windows:
        counts = -(-columns.frames // longest)
        of = np.repeat(np.arange(len(counts)), counts)
        inside = (np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)) * longest
        cut = columns.part(of, inside, np.minimum(columns.frames[of] - inside, longest))
        # Where the frames before come to one block more.
        number = (np.cumsum(cut.frames) - cut.frames) // frames
        edges = np.flatnonzero(np.diff(number, prepend=-1, append=number[-1] + 1)).tolist()
        for low, high in pairwise(edges):
            yield FrameColumns(*(column[low:high] for column in cut))


def with_data(
    source: MemorySource, windows: Iterable[FrameColumns], *, beside: int = 0
) -> Iterator[FrameColumns]:
    """Yields runs that lie together in the image without the pages in a hole of the file.

    So many pages on either side of data may lie in it.
    """
    for columns in windows:
        if source.whole:
            yield columns
            continue
        parts = [
            (of, low, high - low)
            for of, run in enumerate(columns.apart())
            for low, high in pages_with_data(source, run, beside=beside)
        ]
        if parts:
            yield columns.part(*np.array(parts, np.int64).T)


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
