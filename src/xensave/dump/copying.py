"""Frames of a guest to a new file, as fast as its pages can be copied.

Pages lie at any byte offset of an image, so that no file system can share them. This thread maps
a block of frames, or reads it where it lies in pieces, and looks at it; another writes what of it
is no zeros. One writes and no more: a file takes one write at a time, and a second writer would
only wait for the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.memory.column import Integers
from xensave.memory.contents import BLOCK_LIMIT, blocks, gathered, stretches, with_data
from xensave.memory.physical import FrameColumns, Memory
from xensave.source.base import is_zero, pwritev_all, write_all
from xensave.source.limits import SKIP_CHUNK
from xensave.source.memory import MemorySource
from xensave.source.threads import fetch, in_threads, let_go

Progress: TypeAlias = Callable[[int], None]
"""Is told how many more bytes were written."""

Look: TypeAlias = Callable[[int, bytes | memoryview], None]
"""Is shown frames that follow one another: the number of the first, and their pages."""

_BLOCKS = 4
"""Blocks that are written, and then let go of, at a time."""

_FEW = 1 << 14
"""Up to so many bytes are read, not mapped: a page fault, and its undoing, take longer.

Where they lie in a hole of a file in memory, a fault would also fill it.
"""

_GAP = 1 << 16
"""Up to so many bytes between frames are written together with them."""

_AHEAD = 4
"""Jobs that a disk reads while others are looked at."""


class Head(NamedTuple):
    """Bytes between frames: where they go, counted from the begin of theirs."""

    at: int
    data: bytes


class Frames(NamedTuple):
    """The guest's frames in ascending order: `size` bytes with what lies between them.

    `runs` yields those that lie together in the image, each with its place counted from the part's
    begin, `heads` what comes before some. Both begin anew each time: neither is kept.
    """

    frames: int
    size: int
    runs: Callable[[], Iterator[FrameColumns]]
    heads: Callable[[], Iterator[Head]] = lambda: iter(())


class _Write(NamedTuple):
    """Pages that go one behind another to a place in the file."""

    pages: memoryview
    at: int


class _Job(NamedTuple):
    """Frames that were looked at, and what is written of them.

    Where they are `mapped`, and the `rooms` that others were read to.
    """

    size: int
    mapped: list[tuple[int, int]]
    rooms: list[memoryview]
    writes: list[_Write]


def frames_to_file(
    fd: int,
    windows: Iterable[FrameColumns],
    memory: Memory,
    looks: Iterable[Look] = (),
    progress: Progress | None = None,
) -> None:
    """Writes runs of frames, in ascending order, at their places in a new file.

    Pages of zeros stay holes.

    Each of `looks` is shown the pages in that order, but for those in a hole of the image's file.
    """
    copier = _Copier(fd, memory, list(looks))
    parts = blocks(with_data(memory.mapped(), windows))
    for size in in_threads(copier.jobs(parts), copier.write, threads=1):
        if progress is not None:
            progress(size)


def frames_to_stream(
    fd: int, part: Frames, source: MemorySource, progress: Progress | None = None
) -> None:
    """Writes the frames of a part to a pipe or a device, and what lies between them.

    Runs that lie together in the image are copied inside the kernel where it can.
    """
    between = _Between(part.heads())
    done = 0
    for block in _near(blocks(part.runs())):
        start, end = int(block.at[0]), int(block.at[-1] + block.sizes[-1])
        between.write(fd, done, start)
        if len(block.first) == 1:
            source.copy_range(int(block.offset[0]), end - start, fd)
        else:
            room = memoryview(bytearray(end - start))
            starts = block.at - start
            edges = zip(starts.tolist(), (starts + block.sizes).tolist(), strict=True)
            source.gather(block.offset.tolist(), [room[low:high] for low, high in edges])
            between.fill(room, start)
            write_all(fd, room)
        if progress is not None:
            progress(end - done)
        done = end
    between.write(fd, done, part.size)
    if progress is not None:
        progress(part.size - done)


def _near(parts: Iterable[FrameColumns]) -> Iterator[FrameColumns]:
    """Cuts blocks where much lies between their runs."""
    for block in parts:
        gaps = block.at[1:] - (block.at + block.sizes)[:-1]
        far = (np.flatnonzero(gaps > _GAP) + 1).tolist()
        for low, high in zip([0, *far], [*far, len(block.first)], strict=True):
            yield FrameColumns(*(column[low:high] for column in block))


class _Between:
    """What lies between frames: zeros, and heads."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self._heads = iter(heads)
        self._head = next(self._heads, None)

    def write(self, fd: int, start: int, end: int) -> None:
        """Writes what lies between two places."""
        for at, data in self._until(end):
            write_zeros(fd, at - start)
            write_all(fd, memoryview(data))
            start = at + len(data)
        write_zeros(fd, end - start)

    def fill(self, room: memoryview, start: int) -> None:
        """Puts the heads to their places in bytes that begin at one."""
        for at, data in self._until(start + len(room)):
            room[at - start : at - start + len(data)] = data

    def _until(self, end: int) -> Iterator[Head]:
        while (head := self._head) is not None and head.at < end:
            yield head
            self._head = next(self._heads, None)


class _Copier:
    """Copies blocks, from where the image is mapped to the file."""

    def __init__(self, fd: int, memory: Memory, looks: list[Look]) -> None:
        self._fd = fd
        self._source = memory.mapped()
        self._looks = looks
        self._rooms: list[memoryview] = []

    def jobs(self, parts: Iterator[FrameColumns]) -> Iterator[_Job]:
        """Yields what is to be written, and of which pages; all of them are looked at here.

        Pages of zeros go with those that follow: for the other thread there is nothing to do.
        """
        job = _Job(0, [], [], [])
        for number, block in enumerate(self._fetched(parts), 1):
            size = self._add(job, block)
            job = job._replace(size=job.size + size)
            if number % _BLOCKS == 0 and (job.writes or job.size >= BLOCK_LIMIT):
                yield job
                job = _Job(0, [], [], [])
        yield job

    def _fetched(self, parts: Iterator[FrameColumns]) -> Iterator[FrameColumns]:
        """Yields blocks; the disk reads those that come next meanwhile."""
        ahead: deque[FrameColumns] = deque()
        for block in parts:
            fetch(self._source, zip(block.offset.tolist(), block.sizes.tolist(), strict=True))
            ahead.append(block)
            if len(ahead) > _AHEAD * _BLOCKS:
                yield ahead.popleft()
        yield from ahead

    def _add(self, job: _Job, block: FrameColumns) -> int:
        """Looks at a block, and adds what is to be written of it; returns how many bytes it has."""
        pages = self._pages(job, block)
        for look in self._looks:
            for pfn, span in stretches(block, pages):
                look(pfn, span)
        if len(block.first) == 1:
            at = int(block.at[0])
            job.writes.extend(_Write(pages[low:high], at + low) for low, high in _filled(pages))
        else:
            # How much further along than here the pages of each run go.
            ahead = block.at - np.cumsum(block.sizes) + block.sizes
            filled = _filled_flags(pages)
            job.writes.extend(_apart(pages, np.repeat(ahead, block.frames), filled))
        return len(pages)

    def _pages(self, job: _Job, block: FrameColumns) -> memoryview:
        if len(block.first) == 1:
            offset, size = int(block.offset[0]), int(block.sizes[0])
            if size <= _FEW:
                return memoryview(self._source.read_range(offset, size))
            job.mapped.append((offset, size))
            return self._source.view(offset, size)
        room = self._rooms.pop() if self._rooms else memoryview(bytearray(BLOCK_LIMIT))
        job.rooms.append(room)
        return gathered(self._source, block, room)

    def write(self, job: _Job) -> int:
        """Writes what was seen; returns how many bytes its pages have."""
        for pages, at in job.writes:
            pwritev_all(self._fd, [pages], at)
        let_go(self._source, job.mapped)
        self._rooms += job.rooms
        return job.size


def _apart(pages: memoryview, ahead: Integers, filled: npt.NDArray[np.bool_]) -> Iterator[_Write]:
    """Yields what of pages is filled; those in one that go one behind another."""
    begins = np.ones(len(ahead), np.bool_)
    begins[1:] = (ahead[1:] != ahead[:-1]) | (filled[1:] != filled[:-1])
    at = np.flatnonzero(begins)
    ends = np.append(at[1:], len(ahead)) << PAGE_SHIFT
    chosen = filled[at]
    columns = (at[chosen] << PAGE_SHIFT, ends[chosen], ahead[at[chosen]])
    for low, high, more in zip(*(column.tolist() for column in columns), strict=True):
        yield _Write(pages[low:high], low + more)


def _filled(pages: memoryview) -> list[tuple[int, int]]:
    """Returns where pages hold more than zeros: spans of bytes, whole pages."""
    if len(pages) == PAGE_SIZE:
        return [] if is_zero(pages) else [(0, PAGE_SIZE)]
    flags = _filled_flags(pages)
    return [(low << PAGE_SHIFT, high << PAGE_SHIFT) for low, high in _spans(flags)]


def _filled_flags(pages: memoryview) -> npt.NDArray[np.bool_]:
    """Returns for each page whether it holds more than zeros."""
    flags: npt.NDArray[np.bool_] = np.frombuffer(pages, np.uint8)[::PAGE_SIZE] != 0
    suspects = np.flatnonzero(~flags)
    if len(suspects) == len(flags) and is_zero(pages):
        return flags
    for at in suspects.tolist():
        low = at << PAGE_SHIFT
        flags[at] = not is_zero(pages[low : low + PAGE_SIZE])
    return flags


def _spans(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns where flags are set: the first, and the one after the last, of each span.

    >>> _spans(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    if flags.all():
        return [(0, len(flags))]
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def write_zeros(fd: int, size: int) -> None:
    """Writes so many zeros."""
    zeros = memoryview(bytes(min(size, SKIP_CHUNK)))
    while size:
        write_all(fd, zeros[:size])
        size -= len(zeros[:size])
