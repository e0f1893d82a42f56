"""A dump as parts in the order of the file: bytes, frames of the guest, and gaps.

What a dump holds is known before anything is written: its size is checked, holes stay holes in a
file, and the same parts go through a pipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.dump.copying import Look, Progress, frames_to_file
from xensave.memory.contents import Cutter, contents
from xensave.memory.physical import FrameRun, Memory
from xensave.source.base import write_all
from xensave.source.limits import SKIP_CHUNK


class Gap(NamedTuple):
    """Zeros that stand for nothing: a hole in a file."""

    size: int


class Late(NamedTuple):
    """Bytes that are made when `look` has seen all of memory: `size` of them at most.

    After `make`, `complete` tells whether there was in memory what they are made of.
    """

    size: int
    look: Look
    make: Callable[[], bytes]
    complete: Callable[[], bool]


class Made(NamedTuple):
    """Bytes that are made piece by piece when they are written: `size` of them."""

    size: int
    make: Callable[[], Iterable[bytes]]


Part: TypeAlias = bytes | FrameRun | Gap | Late | Made


def size_of(parts: Iterable[Part]) -> int:
    """Returns how many bytes parts take in a file.

    >>> size_of([b"head", Gap(4092), FrameRun(pfn=7, frames=2)])
    12288
    """
    return sum(len(part) if isinstance(part, bytes) else part.size for part in parts)


def write_file(
    fd: int, parts: Sequence[Part], memory: Memory, progress: Progress | None = None
) -> None:
    """Writes parts to a new file, whose holes are gaps and pages of zeros.

    Frames are written as they are found, what is made late comes last. A frame in a run must have
    contents.
    """
    places = []
    at = 0
    for part in parts:
        places.append((at, part))
        at += size_of([part])
    os.ftruncate(fd, at)
    looks = [part.look for part in parts if isinstance(part, Late)]
    runs = ((at, part) for at, part in places if isinstance(part, FrameRun))
    frames_to_file(fd, runs, memory, looks, progress)
    for at, part in places:
        if isinstance(part, bytes | Late | Made):
            os.lseek(fd, at, os.SEEK_SET)
            for piece in _bytes_of(part):
                write_all(fd, memoryview(piece))


def write_stream(
    fd: int, parts: Sequence[Part], memory: Memory, progress: Progress | None = None
) -> None:
    """Writes parts to a pipe or a device, one after another.

    What is made late comes at its place: all of memory is looked at before. Frames are copied by
    runs that follow one another in the image, inside the kernel where it can.
    """
    looks = [part.look for part in parts if isinstance(part, Late)]
    if looks:
        for pfn, data in contents(memory):
            for look in looks:
                look(pfn, data)
    source = memory.mapped()
    cutter = Cutter(memory.file_runs())
    for part in parts:
        if isinstance(part, FrameRun):
            for run in cutter.within(part):
                source.copy_range(run.offset, run.size, fd)
                if progress is not None:
                    progress(run.size)
            continue
        size = rest = size_of([part])
        for piece in _bytes_of(part):
            write_all(fd, memoryview(piece))
            rest -= len(piece)
        _write_zeros(fd, rest)
        if progress is not None:
            progress(size)


def _bytes_of(part: bytes | Gap | Late | Made) -> Iterable[bytes]:
    if isinstance(part, Made):
        return part.make()
    if isinstance(part, Gap):
        return ()
    return (part if isinstance(part, bytes) else part.make(),)


def frame_parts(runs: Iterable[FrameRun]) -> Iterable[Part]:
    """Yields runs at their physical addresses, with gaps before and between them."""
    at = 0
    for run in runs:
        if run.physical > at:
            yield Gap(run.physical - at)
        yield run
        at = run.physical + run.size


def aligned(size: int) -> Gap:
    """Returns the gap after `size` bytes up to the next page."""
    return Gap(-size % PAGE_SIZE)


def _write_zeros(fd: int, size: int) -> None:
    zeros = memoryview(bytes(min(size, SKIP_CHUNK)))
    while size:
        write_all(fd, zeros[:size])
        size -= len(zeros[:size])
