"""Physical memory of a saved guest, read by frame or by address."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.errors import LimitExceeded, UsageError, XensaveError
from xensave.memory.column import Integers
from xensave.memory.index import PageIndex
from xensave.memory.index.runs import Runs
from xensave.source import Source
from xensave.source.limits import READ_LIMIT
from xensave.source.memory import MemorySource
from xensave.source.spill import mapped

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_SIZE = 1 << 16
_IN_PAGE = PAGE_SIZE - 1


class AbsentPage(XensaveError, LookupError):
    """A frame was asked for that the image has no contents of; `pfn` is its number."""

    def __init__(self, pfn: int, type_name: str | None = None) -> None:
        listed = f", which the image lists as {type_name}" if type_name else ""
        super().__init__(f"the image has no contents of frame {pfn:#x}{listed}")
        self.pfn = pfn


class FrameRun(NamedTuple):
    """Frames whose numbers follow one another: the first, and how many.

    In `Memory.file_runs` their pages follow one another in the image too, from `offset` on.
    """

    pfn: int
    frames: int
    offset: int = 0

    @property
    def physical(self) -> int:
        """The physical address of the first byte."""
        return self.pfn << PAGE_SHIFT

    @property
    def size(self) -> int:
        """How many bytes the frames hold."""
        return self.frames << PAGE_SHIFT


class FrameColumns(NamedTuple):
    """Runs of frames in ascending order, as columns: millions of them take no object each.

    `at` is where each goes, in a file say: its physical address, until it is placed elsewhere.
    That of a frame from 2 ** 51 on is more than a column holds.
    """

    first: Integers
    frames: Integers
    offset: Integers
    at: Integers

    @property
    def ends(self) -> Integers:
        """The frame after the last one of each run."""
        return self.first + self.frames

    @property
    def sizes(self) -> Integers:
        """How many bytes each run holds."""
        return self.frames << PAGE_SHIFT

    def part(self, of: Integers, inside: Integers, frames: Integers) -> FrameColumns:
        """Returns parts of runs: of which, how many frames inside, and how many they have."""
        ahead = inside << PAGE_SHIFT
        return FrameColumns(
            self.first[of] + inside, frames, self.offset[of] + ahead, self.at[of] + ahead
        )

    def apart(self) -> Iterator[FrameRun]:
        """Yields the runs one by one."""
        columns = (self.first, self.frames, self.offset)
        return map(FrameRun, *(column.tolist() for column in columns))


class Memory:
    """A guest's physical memory in an image that can be read at any place.

    Reads are by physical address; of a PV guest that is the frame number (PFN) times 4096. A
    frame without contents raises AbsentPage, or reads as zeros with `zero=True`.

    Of a file pages are read, not mapped: what was read takes no memory here.
    """

    def __init__(self, source: Source, index: PageIndex) -> None:
        if not source.seekable:
            raise UsageError("memory is read at any place, which a pipe has not").about(source.name)
        self.source = source
        self.index = index
        self._mapped: MemorySource | None = None

    def __contains__(self, pfn: object) -> bool:
        return isinstance(pfn, int) and self.index.offset_of(pfn) is not None

    @property
    def size(self) -> int:
        """The address after the last byte that has contents."""
        return self.index.end << PAGE_SHIFT

    def page(self, pfn: int, *, zero: bool = False) -> bytes:
        """Returns the 4096 bytes of a frame."""
        offset = self.index.offset_of(pfn)
        if offset is not None:
            return bytes(self.source.read_range(offset, PAGE_SIZE))
        if zero:
            return bytes(PAGE_SIZE)
        raise self._absent(pfn)

    def read(self, physical: int, n: int, *, zero: bool = False) -> bytes:
        """Returns n bytes from a physical address. Raises LimitExceeded above READ_LIMIT.

        Raises UsageError below 0.
        """
        if physical < 0 or n < 0:
            raise UsageError(f"no {n} bytes at physical address {physical:#x}")
        if n > READ_LIMIT:
            raise LimitExceeded(f"asked for {n} bytes at once, the limit is {READ_LIMIT}")
        parts = []
        end = physical + n
        while physical < end:
            part = self.read_some(physical, end - physical)
            if not part:
                if not zero:
                    raise self._absent(physical >> PAGE_SHIFT)
                part = memoryview(bytes(min(self._gap(physical), end - physical)))
            parts.append(part)
            physical += len(part)
        return b"".join(parts)

    def read_some(self, physical: int, n: int) -> memoryview:
        """Returns up to n bytes that lie together in the image; none where the frame is absent."""
        pfn, skip = physical >> PAGE_SHIFT, physical & _IN_PAGE
        together = self.index.together(pfn)
        if together is None:
            return memoryview(b"")
        offset, frames = together
        size = min(n, (frames << PAGE_SHIFT) - skip)
        return memoryview(self.source.read_range(offset + skip, size))

    def file_runs(self, first: int = 0, end: int | None = None) -> Iterator[FrameRun]:
        """Yields runs of frames that follow one another in memory and in the image alike.

        Frames below `first`, or from `end` on, are left out.
        """
        return self._cut(first, end, together=True)

    def ranges(self, first: int = 0, end: int | None = None) -> Iterator[FrameRun]:
        """Yields the ranges of frames with contents, in ascending order.

        Frames below `first`, or from `end` on, are left out.
        """
        for run in self._cut(first, end, together=False):
            yield run._replace(offset=0)

    def _cut(self, first: int, end: int | None, *, together: bool) -> Iterator[FrameRun]:
        windows = self.index.windows(max(self.index.run_above(first + 1) - 1, 0))
        for run in chain.from_iterable(
            columns.apart() for columns in _joined(windows, together=together)
        ):
            start = max(run.pfn, first)
            stop = run.pfn + run.frames if end is None else min(run.pfn + run.frames, end)
            if end is not None and run.pfn >= end:
                return
            if start < stop:
                yield FrameRun(start, stop - start, run.offset + (start - run.pfn << PAGE_SHIFT))

    def columns(self, *, together: bool) -> Iterator[FrameColumns]:
        """Yields what `file_runs` does where `together` is set, else what `ranges` does.

        Many at a time, as columns.
        """
        return _joined(self.index.windows(), together=together)

    def mapped(self) -> MemorySource:
        """Returns the source as one that files are copied from, at the offsets of `file_runs`.

        The pages of a VHD or of an object in a store are first written to a file without a name.
        """
        if self._mapped is None:
            runs = ((run.offset, run.size) for run in self.file_runs())
            self._mapped = mapped(self.source, runs)
        return self._mapped

    def open(self, *, zero: bool = False) -> io.BufferedReader:
        """Returns physical memory as a seekable file; position 0 is physical address 0.

        Where a frame is absent, reading raises AbsentPage, or gives zeros with `zero=True`.
        """
        return io.BufferedReader(_MemoryFile(self, zero=zero), BUFFER_SIZE)

    def differing(self) -> list[int]:
        """Returns the frames whose pages after VERIFY are not what memory holds."""
        compared = self.index.compared
        if compared is None:
            return []
        return [
            pfn
            for pfn, offset in zip(compared.pfns.tolist(), compared.offsets.tolist(), strict=True)
            if pfn not in self or self.page(pfn) != bytes(self.source.read_range(offset, PAGE_SIZE))
        ]

    def _gap(self, physical: int) -> int:
        """Returns how many bytes from an address in an absent frame on have no contents."""
        run = self.index.run_above(physical >> PAGE_SHIFT)
        if run == self.index.runs:
            return BUFFER_SIZE
        return min(BUFFER_SIZE, (self.index.first_of(run) << PAGE_SHIFT) - physical)

    def _absent(self, pfn: int) -> AbsentPage:
        number = self.index.type_of(pfn)
        return AbsentPage(pfn, None if number is None else PAGE_TYPES.get(number))


class _MemoryFile(io.RawIOBase):
    """Physical memory as a raw file; a short read ends before an absent frame."""

    def __init__(self, memory: Memory, *, zero: bool) -> None:
        super().__init__()
        self._memory = memory
        self._zero = zero
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._memory.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._memory.size - self._at))
        if not wanted:
            return 0
        part = self._memory.read_some(self._at, wanted)
        if not part:
            part = memoryview(self._memory.read(self._at, min(wanted, PAGE_SIZE), zero=self._zero))
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def _joined(windows: Iterable[Runs], *, together: bool) -> Iterator[FrameColumns]:
    """Yields runs, those as one that follow one another in memory, and `together` in the image."""
    before = np.empty((3, 0), np.int64)
    for runs in windows:
        first, frames, offset = np.hstack((before, (runs.first, runs.frames, runs.offset)))
        begins = Runs(first, offset, frames).begins(offset if together else None)
        at = np.flatnonzero(begins)
        joined = np.stack((first[at], np.add.reduceat(frames, at), offset[at]))
        # The last one may go on in the next window.
        before = joined[:, -1:]
        if len(at) > 1:
            yield _columns(joined[:, :-1])
    if before.size:
        yield _columns(before)


def _columns(joined: Integers) -> FrameColumns:
    first, frames, offset = joined
    return FrameColumns(first, frames, offset, first << PAGE_SHIFT)
