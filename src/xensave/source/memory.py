"""Bytes that lie in memory: a mapped file, or a buffer. Reads are views, passing over is free."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat

from xensave.source.base import Source, warn_unclosed, write_all
from xensave.source.inputs import InputFile
from xensave.source.kernel import copy_range
from xensave.source.limits import MAPPED_WINDOW, READ_LIMIT, SKIP_CHUNK

_SMALL = 64
"""Up to so many bytes a place are joined from reads; more are read to where they belong."""


_FAULT_AROUND = 1 << 16
"""Linux maps so much about a page that is touched."""

_BLOCK = 512
"""The bytes of a block that stat() counts."""


class NamedBytes(bytes):
    """Bytes that came from somewhere: errors about them say where.

    >>> named = NamedBytes(b"abc")
    >>> named.name = "guests.tar/a.ctx"
    """

    name = "<bytes>"


class MemorySource(Source):
    """A source over a buffer; nothing is copied.

    >>> source = MemorySource(b"abcdef", "example")
    >>> bytes(source.read(2)), source.offset, bytes(source.peek(9))
    (b'ab', 2, b'cdef')
    """

    seekable = True

    def __init__(
        self,
        data: bytes | bytearray | memoryview | mmap.mmap,
        name: str = "<bytes>",
        *,
        max_size: int | None = None,
    ) -> None:
        self._view = memoryview(data).cast("B")
        self._length = len(self._view)
        self.name = name
        self.offset = 0
        self.size: int | None = self._length
        self.max_size = max_size

    def read(self, n: int) -> memoryview:
        """Returns the next n bytes as a view."""
        start = self._advance(n, READ_LIMIT)
        return self._view[start : start + n]

    def peek(self, n: int) -> memoryview:
        """Returns up to n of the next bytes as a view."""
        return self._view[self.offset : self.offset + n]

    def skip(self, n: int) -> None:
        """Moves the offset."""
        self._advance(n)

    def view(self, offset: int, n: int) -> memoryview:
        """Returns n bytes at an offset; Truncated where they are not all there."""
        if offset + n > self._length:
            start = min(offset, self._length)
            raise self._short(n, self._length - start, start)
        return self._view[offset : offset + n]

    def again(self) -> Source:
        """Returns the same bytes with an offset of their own."""
        other = MemorySource(self._view, self.name, max_size=self.max_size)
        other.format = self.format
        return other

    def strided(self, offset: int, stride: int, size: int, places: int) -> bytes | bytearray:
        """Returns `size` bytes at each of some places a stride apart, joined.

        Fewer come where the input ends before the last place does. What it returns may be
        overwritten by the next call.
        """
        view = self._view
        end = offset + places * stride
        return b"".join([view[at : at + size] for at in range(offset, end, stride)])

    def gather(self, places: list[int], parts: list[memoryview]) -> None:
        """Fills each part with the bytes from its place on."""
        for place, part in zip(places, parts, strict=True):
            part[:] = self.view(place, len(part))

    @property
    def whole(self) -> bool:
        """Whether it surely has no holes."""
        return True

    def at_end(self) -> bool:
        """Tells whether the offset has reached the size."""
        return self.offset == self._length

    def copy_to(self, out_fd: int, n: int) -> None:
        """Writes the next n bytes from memory."""
        start = self._advance(n)
        for at in range(start, self.offset, SKIP_CHUNK):
            write_all(out_fd, self._view[at : min(at + SKIP_CHUNK, self.offset)])

    def soon(self, offset: int, n: int) -> None:
        """Says that n bytes from an offset are looked at next, one after another."""

    def let_go(self, offset: int, n: int) -> None:
        """Takes n bytes from an offset for read: what is mapped of them need not stay so."""

    def data_runs(self, offset: int, n: int) -> Iterator[tuple[int, int]]:
        """Yields offset and length of what is no hole of the file, in n bytes from an offset."""
        if n:
            yield offset, n

    def copy_range(self, offset: int, n: int, out_fd: int, *, sparse: bool = False) -> None:
        """Writes n bytes from an offset without moving.

        `sparse` leaves out what is known to be a hole; `out_fd` is then moved on over it.
        """
        view = self.view(offset, n)
        for at in range(0, n, SKIP_CHUNK):
            write_all(out_fd, view[at : at + SKIP_CHUNK])

    def _advance(self, n: int, limit: int | None = None) -> int:
        """Moves the offset by n, and returns where it was."""
        start = self.offset
        if n > self._length - start:
            raise self._short(n, self._length - start)
        if (limit is not None and n > limit) or self.max_size is not None:
            self._check(n, limit)
        self.offset = start + n
        return start


class MappedSource(MemorySource):
    """A regular file or block device, mapped; copied on by the kernel (copy_file_range, sendfile).

    The file must not be cut short while it is open: as with every mapped file, reading a page
    that is gone kills the process.
    """

    def __init__(
        self,
        fd: int,
        start: int,
        name: str,
        *,
        owned: bool,
        max_size: int | None = None,
        length: int = 0,
    ) -> None:
        stat = os.fstat(fd)
        self.file = InputFile(stat, name)
        # Of a device the system does not tell the length, 0 stands for.
        self._map = mmap.mmap(fd, length, access=mmap.ACCESS_READ)
        # Little of a file is looked at: read-ahead would fetch the pages between, holes included.
        self._map.madvise(mmap.MADV_RANDOM)
        super().__init__(memoryview(self._map)[start:], name, max_size=max_size)
        self._fd = fd
        self._start = start
        self._owned = owned
        self._mapped = 0
        self._gatherer = _Gatherer()
        self._near = (0, 0, 0)
        # Then it has no hole: to look for one a file system reads every page's state.
        self._whole = 0 < stat.st_size <= stat.st_blocks * _BLOCK

    def copy_to(self, out_fd: int, n: int) -> None:
        """Copies the next n bytes inside the kernel; from the map where it cannot."""
        start = self._advance(n)
        left = copy_range(self._fd, self._start + start, out_fd, n)
        if left:
            self.offset -= left
            super().copy_to(out_fd, left)

    def read_range(self, offset: int, n: int) -> bytes | memoryview:
        """Reads n bytes at an offset from the file, past the mapping."""
        data = os.pread(self._fd, n, self._start + offset)
        return data if len(data) == n else self.view(offset, n)

    def again(self) -> Source:
        """Returns the same bytes with an offset of their own."""
        other = _Again(self)
        other.format = self.format
        return other

    def soon(self, offset: int, n: int) -> None:
        """Has the kernel fetch n bytes from an offset: of what is mapped it reads none ahead."""
        os.posix_fadvise(self._fd, self._start + offset, n, os.POSIX_FADV_WILLNEED)

    def let_go(self, offset: int, n: int) -> None:
        """Unmaps n bytes from an offset, and what shares their pages: a view maps them again."""
        if self._map.closed:
            return
        start = max(0, self._start + offset - _FAULT_AROUND) & -mmap.PAGESIZE
        end = min(len(self._map), self._start + offset + n + _FAULT_AROUND)
        self._map.madvise(mmap.MADV_DONTNEED, start, end - start)

    def copy_range(self, offset: int, n: int, out_fd: int, *, sparse: bool = False) -> None:
        """Copies n bytes from an offset inside the kernel.

        Holes stay holes where `sparse` is set.
        """
        at = offset
        for start, length in self.data_runs(offset, n) if sparse else [(offset, n)]:
            if start > at:
                os.lseek(out_fd, start - at, os.SEEK_CUR)
            left = copy_range(self._fd, self._start + start, out_fd, length)
            if left:
                super().copy_range(start + length - left, left, out_fd)
            at = start + length
        if at < offset + n:
            os.lseek(out_fd, offset + n - at, os.SEEK_CUR)

    def strided(self, offset: int, stride: int, size: int, places: int) -> bytes | bytearray:
        """Returns `size` bytes at each of some places a stride apart, joined.

        They are read, not mapped: a page fault for each place costs more than a read of it. What
        it returns is overwritten by the next call.
        """
        return self.gathered(self._gatherer, offset, stride, size, places)

    def gather(self, places: list[int], parts: list[memoryview]) -> None:
        """Fills each part with the bytes from its place on.

        They are read, as `strided` does.
        """
        start = self._start
        done = sum(
            map(os.preadv, repeat(self._fd), zip(parts), (start + place for place in places))
        )
        if done != sum(map(len, parts)):
            super().gather(places, parts)

    @property
    def whole(self) -> bool:
        """Whether it surely has no holes."""
        return self._whole

    def gathered(
        self, gatherer: _Gatherer, offset: int, stride: int, size: int, places: int
    ) -> bytes | bytearray:
        """Returns what `strided` does, in the buffer of a gatherer."""
        start = self._start + offset
        return gatherer.read(self._fd, range(start, start + places * stride, stride), size)

    def data_runs(self, offset: int, n: int) -> Iterator[tuple[int, int]]:
        """Yields offset and length of what is no hole of the file, in n bytes from an offset."""
        at, end = self._start + offset, self._start + offset + n
        while at < end:
            hole, data, stop = self._near
            if not hole <= at < stop:
                self._near = hole, data, stop = self._extent(at)
            begin = max(at, data)
            if begin < end:
                yield begin - self._start, min(stop, end) - begin
            at = stop

    def _extent(self, at: int) -> tuple[int, int, int]:
        """Returns the hole from a place in the file on, if any, and the data behind it.

        Where it begins, where the data begins, and where that ends. A file system may look at
        every page up to there: what was found is asked of it once.
        """
        end = self._start + self._length
        if self._whole:
            return at, at, end
        try:
            data = os.lseek(self._fd, at, os.SEEK_DATA)
            return at, data, os.lseek(self._fd, data, os.SEEK_HOLE)
        except OSError as error:
            return (at, end, end) if error.errno == errno.ENXIO else (at, at, end)

    @property
    def closed(self) -> bool:
        """Whether the file is closed; views of the map may still be there."""
        return self._fd < 0

    def close(self) -> None:
        """Closes the file. The map itself goes when the last view of it does."""
        self._view.release()
        # A view that a caller still holds keeps the map; it is unmapped with the last of them.
        with suppress(BufferError):
            self._map.close()
        if self._owned:
            os.close(self._fd)
            self._owned = False
        # The number may be another file's from now on.
        self._fd = -1
        self.file = None

    def __del__(self) -> None:
        if getattr(self, "_owned", False):
            # Closed first: a warning may be an error.
            self.close()
            warn_unclosed(self)

    def _advance(self, n: int, limit: int | None = None) -> int:
        """Moves the offset, and lets go of pages far behind: a view of them maps them again."""
        start = super()._advance(n, limit)
        at = self._start + self.offset
        if at - self._mapped >= MAPPED_WINDOW:
            end = at & -mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, self._mapped, end - self._mapped)
            self._mapped = end
        return start


class _Gatherer:
    """Reads a few bytes at each of many places of a file, into a buffer that it keeps."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: list[list[memoryview]] = []

    def read(self, fd: int, places: range, size: int) -> bytes | bytearray:
        """Returns `size` bytes at each place, joined; fewer where the file ends before the last."""
        if size <= _SMALL:
            pread = os.pread
            return b"".join([pread(fd, size, at) for at in places])
        if len(self._buffer) != len(places) * size or len(self._parts) != len(places):
            self._buffer = bytearray(len(places) * size)
            view = memoryview(self._buffer)
            self._parts = [[view[at : at + size]] for at in range(0, len(view), size)]
        whole = self._buffer
        return whole if sum(map(os.preadv, repeat(fd), self._parts, places)) == len(whole) else b""


class _Again(MemorySource):
    """The bytes of a mapped file with an offset of their own; pages far behind are let go."""

    def __init__(self, mapped: MappedSource) -> None:
        super().__init__(mapped.view(0, mapped.size or 0), mapped.name, max_size=mapped.max_size)
        self._mapped = mapped
        self._released = 0
        self._gatherer = _Gatherer()

    def read_range(self, offset: int, n: int) -> bytes | memoryview:
        mapped = self._mapped
        return self.view(offset, n) if mapped.closed else mapped.read_range(offset, n)

    def strided(self, offset: int, stride: int, size: int, places: int) -> bytes | bytearray:
        if self._mapped.closed:
            return super().strided(offset, stride, size, places)
        return self._mapped.gathered(self._gatherer, offset, stride, size, places)

    def _advance(self, n: int, limit: int | None = None) -> int:
        start = super()._advance(n, limit)
        if self.offset - self._released >= MAPPED_WINDOW:
            self._mapped.let_go(self._released, self.offset - self._released)
            self._released = self.offset
        return start
