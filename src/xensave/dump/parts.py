"""A dump as parts in the order of the file: bytes, frames of the guest, and gaps.

What a dump holds is known before anything is written: its size is checked, holes stay holes in a
file, and the same parts go through a pipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.dump.copying import (
    Frames,
    Look,
    Progress,
    frames_to_file,
    frames_to_stream,
    write_zeros,
)
from xensave.memory.contents import contents
from xensave.memory.physical import FrameColumns, Memory
from xensave.source.base import pwritev_all, write_all


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


Part: TypeAlias = bytes | Frames | Gap | Late | Made


def size_of(parts: Iterable[Part]) -> int:
    """Returns how many bytes parts take in a file.

    >>> size_of([b"head", Gap(4092)])
    4096
    """
    return sum(len(part) if isinstance(part, bytes) else part.size for part in parts)


def write_file(
    fd: int, parts: Sequence[Part], memory: Memory, progress: Progress | None = None
) -> None:
    """Writes parts to a new file, whose holes are gaps and pages of zeros.

    Frames are written as they are found, what is made late comes last.
    """
    places = []
    at = 0
    for part in parts:
        places.append((at, part))
        at += size_of([part])
    os.ftruncate(fd, at)
    looks = [part.look for part in parts if isinstance(part, Late)]
    for at, part in places:
        if isinstance(part, Frames):
            frames_to_file(fd, moved(part.runs(), at), memory, looks, progress)
            for head in part.heads():
                pwritev_all(fd, [memoryview(head.data)], at + head.at)
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
    for part in parts:
        if isinstance(part, Frames):
            frames_to_stream(fd, part, memory.mapped(), progress)
            continue
        size = rest = size_of([part])
        for piece in _bytes_of(part):
            write_all(fd, memoryview(piece))
            rest -= len(piece)
        write_zeros(fd, rest)
        if progress is not None:
            progress(size)


def _bytes_of(part: bytes | Gap | Late | Made) -> Iterable[bytes]:
    if isinstance(part, Made):
        return part.make()
    if isinstance(part, Gap):
        return ()
    return (part if isinstance(part, bytes) else part.make(),)


def moved(windows: Iterable[FrameColumns], by: int) -> Iterator[FrameColumns]:
    """Yields runs with their places so many bytes further on."""
    for columns in windows:
        yield columns._replace(at=columns.at + by)


def packed(windows: Iterable[FrameColumns], head: int = 0) -> Iterator[FrameColumns]:
    """Yields runs with their places one behind another, `head` bytes before each range of frames.

    >>> import numpy as np
    >>> two = FrameColumns(*np.array([[7, 9], [1, 3], [0, 0], [0, 0]]))
    >>> [columns.at.tolist() for columns in packed([two], 32)]
    [[32, 4160]]
    """
    end, at = -1, 0
    for columns in windows:
        begins = columns.first != np.concatenate(([end], columns.ends[:-1]))
        ends = at + np.cumsum(columns.sizes + begins * head)
        yield columns._replace(at=ends - columns.sizes)
        end, at = int(columns.ends[-1]), int(ends[-1])


def aligned(size: int) -> Gap:
    """Returns the gap after `size` bytes up to the next page."""
    return Gap(-size % PAGE_SIZE)
