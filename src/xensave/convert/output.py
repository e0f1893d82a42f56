"""Where the result goes: a descriptor, written record by record."""

from __future__ import annotations

import os
from collections.abc import Iterable

from xensave.container.events import Event
from xensave.source import Source
from xensave.source.base import write_all
from xensave.source.memory import MappedSource
from xensave.source.stream import StreamSource

SHARED = 1 << 20
"""Copies begin and end at multiples of this: XFS and Btrfs share whole blocks at the same place of
both files, and what began inside one would be copied to its end."""

RUN_LIMIT = 1 << 30
"""Unchanged bytes of a file are copied in runs of at most this many."""


class Writer:
    """Writes events and bytes to a descriptor; neighbouring unchanged events of a file in one go.

    From a forward-only source each event is written as it is reached: a receiver that waits for
    a record is not kept waiting for the next one. `fresh` says that the descriptor is a new
    file's: holes of the input are holes of the output then, as `cp` makes them.
    """

    __slots__ = ("_end", "_fd", "_fresh", "_runs", "_source", "_start")

    def __init__(self, source: Source, fd: int, *, fresh: bool = False) -> None:
        self._source = source
        self._fd = fd
        self._runs = source.data_runs if fresh and isinstance(source, MappedSource) else None
        self._fresh = fresh
        if isinstance(source, StreamSource):
            source.holes = fresh and source.beneath is not None
        self._start = self._end = 0

    def put(self, output: Iterable[Event | bytes]) -> None:
        """Writes what an event became."""
        for part in output:
            if isinstance(part, Event):
                self.keep(part)
            else:
                self.write(part)

    def keep(self, event: Event) -> None:
        """Writes an event as it is."""
        if event.made:
            self.flush()
            event.copy_to(self._fd)
            return
        if not self._source.seekable:
            event.copy_to(self._fd)
            return
        if self._end != event.offset:
            self.flush()
            self._start = event.offset
        elif self._end - self._start > RUN_LIMIT:
            cut = self._end - self._end % SHARED
            self._copy(self._start, cut - self._start)
            self._start = cut
        self._end = event.end

    def write(self, data: bytes) -> None:
        """Writes bytes."""
        self.flush()
        write_all(self._fd, memoryview(data))

    def copy(self, offset: int, n: int) -> None:
        """Writes n bytes from an offset of a source that is seekable."""
        self.flush()
        self._copy(offset, n)

    def flush(self) -> None:
        """Writes the unchanged bytes that wait."""
        if self._end > self._start:
            self._copy(self._start, self._end - self._start)
        self._start = self._end = 0

    def close(self) -> None:
        """Writes what waits, and gives a fresh file its size even if it ends in a hole."""
        self.flush()
        if self._fresh:
            os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR))

    def _copy(self, offset: int, n: int) -> None:
        source, place = self._source, self._source.offset
        runs = [(offset, n)] if self._runs is None else self._runs(offset, n)
        at = offset
        try:
            for start, length in runs:
                if start > at:
                    os.lseek(self._fd, start - at, os.SEEK_CUR)
                source.offset = start
                for part in _whole_blocks(start, length):
                    source.copy_to(self._fd, part)
                at = start + length
        finally:
            source.offset = place
        if at < offset + n:
            os.lseek(self._fd, offset + n - at, os.SEEK_CUR)


def _whole_blocks(offset: int, n: int) -> tuple[int, ...]:
    """Returns the sizes of two copies, of which the second begins with a block; or one, of few.

    >>> _whole_blocks(3, 2 * SHARED) == (SHARED - 3, SHARED + 3), _whole_blocks(3, 9)
    (True, (9,))
    """
    head = -offset % SHARED
    return (head, n - head) if 0 < head < n else (n,)
