"""A dump as parts in the order of the file: bytes, frames of the guest, and gaps.

What a dump holds is known before anything is written: its size is checked, holes stay holes in a
file, and the same parts go through a pipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.physical import FrameRun, Memory
from xensave.source.base import write_all
from xensave.source.limits import SKIP_CHUNK
from xensave.source.memory import MemorySource

Progress: TypeAlias = Callable[[int], None]
"""Is told how many more bytes were written."""


class Gap(NamedTuple):
    """Zeros that stand for nothing: a hole in a file."""

    size: int


Part: TypeAlias = bytes | FrameRun | Gap


def size_of(parts: Iterable[Part]) -> int:
    """Return how many bytes parts take in a file.

    >>> size_of([b"head", Gap(4092), FrameRun(pfn=7, frames=2)])
    12288
    """
    return sum(len(part) if isinstance(part, bytes) else part.size for part in parts)


def write_parts(
    fd: int,
    parts: Iterable[Part],
    memory: Memory,
    *,
    sparse: bool,
    progress: Progress | None = None,
) -> None:
    """Write parts to a descriptor; `sparse` says that it is a new file's, which may have holes.

    Frames are copied by runs that follow one another in the image, inside the kernel where it
    can. A frame in a run must have contents.
    """
    for part in parts:
        if isinstance(part, bytes):
            write_all(fd, memoryview(part))
        elif isinstance(part, FrameRun):
            _write_frames(fd, part, memory, sparse=sparse, progress=progress)
            continue
        elif sparse:
            os.lseek(fd, part.size, os.SEEK_CUR)
        else:
            _write_zeros(fd, part.size)
        if progress is not None:
            progress(len(part) if isinstance(part, bytes) else part.size)
    if sparse:
        os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))


def frame_parts(runs: Iterable[FrameRun], start: int = 0) -> Iterable[Part]:
    """Yield runs at their physical addresses, with gaps between, from address `start` on."""
    at = start
    for run in runs:
        if run.physical > at:
            yield Gap(run.physical - at)
        yield run
        at = run.physical + run.size


def aligned(size: int) -> Gap:
    """Return the gap after `size` bytes up to the next page."""
    return Gap(-size % PAGE_SIZE)


def _write_frames(
    fd: int, part: FrameRun, memory: Memory, *, sparse: bool, progress: Progress | None
) -> None:
    source = memory.source
    assert isinstance(source, MemorySource), "seekable sources are of this class"
    for run in memory.file_runs(part.pfn, part.pfn + part.frames):
        source.copy_range(run.offset, run.size, fd, sparse=sparse)
        if progress is not None:
            progress(run.size)


def _write_zeros(fd: int, size: int) -> None:
    zeros = memoryview(bytes(min(size, SKIP_CHUNK)))
    while size:
        write_all(fd, zeros[:size])
        size -= len(zeros[:size])
