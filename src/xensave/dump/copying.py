"""Frames of a guest to a new file, as fast as its pages can be copied.

Pages lie at any byte offset of an image, so that no file system can share them. This thread maps
a window of frames and looks at it; another writes what of it is no zeros. One writes and no more:
a file takes one write at a time, and a second writer would only wait for the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.memory.contents import Cutter, runs_with_data
from xensave.memory.physical import FrameRun, Memory
from xensave.source.base import is_zero, pwritev_all
from xensave.source.threads import fetch, in_threads, let_go

Progress: TypeAlias = Callable[[int], None]
"""Is told how many more bytes were written."""

Look: TypeAlias = Callable[[int, bytes | memoryview], None]
"""Is shown frames that follow one another: the number of the first, and their pages."""

WINDOW = 1 << 20
"""Bytes that are read, looked at and written at once: few enough to stay in a core's cache."""

_WINDOWS = 4
"""Windows that are written, and then let go of, at a time."""

_FEW = 1 << 14
"""Up to so many bytes are read, not mapped: a page fault, and its undoing, take longer.

Where they lie in a hole of a file in memory, a fault would also fill it.
"""

_AHEAD = 4
"""Jobs that a disk reads while others are looked at."""


class _Piece(NamedTuple):
    """Frames that follow one another in the image, and where they go in the file."""

    run: FrameRun
    at: int


_Window: TypeAlias = list[_Piece]
"""Pieces that follow one another in the file, WINDOW bytes at most."""


class _Write(NamedTuple):
    """Parts of the map that go one behind another to a place in the file."""

    parts: list[memoryview]
    at: int


class _Job(NamedTuple):
    """Frames that were looked at, and what is written of them."""

    runs: list[FrameRun]
    writes: list[_Write]


def frames_to_file(
    fd: int,
    runs: Iterable[tuple[int, FrameRun]],
    memory: Memory,
    looks: Iterable[Look] = (),
    progress: Progress | None = None,
) -> None:
    """Writes runs of frames, in ascending order, at their places in a new file.

    Pages of zeros stay holes.

    Each of `looks` is shown the pages in that order, but for those in a hole of the image's file.
    """
    copier = _Copier(fd, memory, list(looks))
    for size in in_threads(copier.jobs(_jobs(_pieces(memory, runs))), copier.write, threads=1):
        if progress is not None:
            progress(size)


def _pieces(memory: Memory, runs: Iterable[tuple[int, FrameRun]]) -> Iterator[_Piece]:
    """Yields what is no hole of the image's file, in the order of the dump; WINDOW at most each."""
    most = WINDOW >> PAGE_SHIFT
    cutter = Cutter(runs_with_data(memory))
    for start, part in runs:
        base = start - part.physical
        for run in cutter.within(part):
            for first in range(0, run.frames, most):
                frames = min(most, run.frames - first)
                offset = run.offset + (first << PAGE_SHIFT)
                piece = FrameRun(run.pfn + first, frames, offset)
                yield _Piece(piece, base + piece.physical)


def _jobs(pieces: Iterable[_Piece]) -> Iterator[list[_Window]]:
    """Gathers pieces into windows, and those into jobs."""
    job: list[_Window] = []
    end = size = 0
    for piece in pieces:
        if job and piece.at == end and size + piece.run.size <= WINDOW:
            job[-1].append(piece)
            size += piece.run.size
        else:
            if len(job) == _WINDOWS:
                yield job
                job = []
            job.append([piece])
            size = piece.run.size
        end = piece.at + piece.run.size
    if job:
        yield job


class _Copier:
    """Copies windows, from where the image is mapped to the file."""

    def __init__(self, fd: int, memory: Memory, looks: list[Look]) -> None:
        self._fd = fd
        self._source = memory.mapped()
        self._looks = looks

    def jobs(self, jobs: Iterator[list[_Window]]) -> Iterator[_Job]:
        """Yields what is to be written, and of which pages; all of them are looked at here.

        Pages of zeros go with those that follow: for the other thread there is nothing to do.
        """
        runs: list[FrameRun] = []
        size = 0
        for job in self._fetched(jobs):
            writes = [write for window in job for write in self._seen(window)]
            more = [run for window in job for run, _ in window]
            runs += more
            size += sum(run.size for run in more)
            if writes or size >= WINDOW:
                yield _Job(runs, writes)
                runs, size = [], 0
        if runs:
            yield _Job(runs, [])

    def _fetched(self, jobs: Iterator[list[_Window]]) -> Iterator[list[_Window]]:
        """Yields jobs; the disk reads those that come next meanwhile."""
        ahead: deque[list[_Window]] = deque()
        for job in jobs:
            fetch(self._source, ((run.offset, run.size) for window in job for run, _ in window))
            ahead.append(job)
            if len(ahead) > _AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _seen(self, window: _Window) -> Iterator[_Write]:
        """Yields what is to be written of a window, all of which is looked at."""
        parts: list[memoryview] = []
        start = end = window[0].at
        for run, at in window:
            pages = self._pages(run)
            for look in self._looks:
                look(run.pfn, pages)
            for low, high in _filled(pages):
                if parts and at + low != end:
                    yield _Write(parts, start)
                    parts = []
                if not parts:
                    start = at + low
                parts.append(pages[low:high])
                end = at + high
        if parts:
            yield _Write(parts, start)

    def _pages(self, run: FrameRun) -> memoryview:
        if run.size > _FEW:
            return self._source.view(run.offset, run.size)
        return memoryview(self._source.read_range(run.offset, run.size))

    def write(self, job: _Job) -> int:
        """Writes what was seen; returns how many bytes its pages have."""
        for parts, at in job.writes:
            pwritev_all(self._fd, parts, at)
        let_go(self._source, ((run.offset, run.size) for run in job.runs if run.size > _FEW))
        return sum(run.size for run in job.runs)


def _filled(pages: memoryview) -> list[tuple[int, int]]:
    """Returns where pages hold more than zeros: spans of bytes, whole pages."""
    if len(pages) == PAGE_SIZE:
        return [] if is_zero(pages) else [(0, PAGE_SIZE)]
    firsts = np.frombuffer(pages, np.uint8)[::PAGE_SIZE]
    if firsts.all():
        return [(0, len(pages))]
    suspects = np.flatnonzero(firsts == 0)
    if len(suspects) == len(firsts) and is_zero(pages):
        return []
    flags = np.ones(len(firsts), np.bool_)
    for at in suspects.tolist():
        low = at << PAGE_SHIFT
        flags[at] = not is_zero(pages[low : low + PAGE_SIZE])
    return [(low << PAGE_SHIFT, high << PAGE_SHIFT) for low, high in _spans(flags)]


def _spans(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns where flags are set: the first, and the one after the last, of each span.

    >>> _spans(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    if flags.all():
        return [(0, len(flags))]
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
