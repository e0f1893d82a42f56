"""What every source can do: exact reads, passing over, copying on."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from typing import Self

from xensave.errors import LimitExceeded, Truncated, UsageError, XensaveError
from xensave.source.inputs import InputFile
from xensave.source.limits import CHUNK, READ_LIMIT, SKIP_CHUNK

_BLOCK = 4096
_ZEROS = bytearray(CHUNK)
_VECTORS = 1024
"""IOV_MAX of Linux."""


class Source(ABC):
    """Bytes read forward, exactly as many as asked or `Truncated`.

    `offset` counts (decompressed) bytes from the start. `size` is None where it cannot be known
    before the end. `beneath` is the compressed input that is read through this one. Where
    `seekable` is true, `view` gives any range again. `format` is what the caller says that the
    bytes are, None where they tell it themselves. `file` is the file that they come from, until
    the source is closed: nothing is written over it meanwhile.
    """

    name: str
    offset: int
    size: int | None
    seekable: bool
    max_size: int | None
    beneath: Source | None = None
    format: str | None = None
    file: InputFile | None = None

    @abstractmethod
    def read(self, n: int) -> memoryview:
        """Returns the next n bytes.

        Raises Truncated where fewer are left, LimitExceeded for more than READ_LIMIT.
        """

    @abstractmethod
    def peek(self, n: int) -> memoryview:
        """Returns the next bytes without passing them: up to n, fewer only at the end."""

    @abstractmethod
    def skip(self, n: int) -> None:
        """Passes over exactly n bytes without looking at them, or raises Truncated."""

    @abstractmethod
    def copy_to(self, out_fd: int, n: int) -> None:
        """Writes exactly the next n bytes to a file descriptor, inside the kernel if it can."""

    def at_end(self) -> bool:
        """Tells whether no byte is left. On a live pipe this waits for one, or for its end."""
        return not self.peek(1)

    def view(self, offset: int, n: int) -> memoryview:
        """Returns n bytes at an offset without moving; only where `seekable`.

        Raises UsageError where it can only be read forward.
        """
        raise UsageError("can only be read forward").about(self.name)

    def read_range(self, offset: int, n: int) -> bytes | memoryview:
        """Returns n bytes at an offset, to be looked at once: what is read stays in no mapping."""
        return self.view(offset, n)

    def again(self) -> Source | None:
        """Returns the same bytes from the start with an offset of their own.

        None if they come once.

        Both are read independently; what is returned may outlive this source.
        """
        return None

    def close(self) -> None:
        """Releases the file; views handed out before stay valid."""
        self.file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self.name_in(error)
        self.close()

    def name_in(self, error: object) -> None:
        """Lets an error that leaves this input's `with` block say which input it was."""
        if isinstance(error, XensaveError):
            error.source = error.source or self.name

    def _check(self, n: int, limit: int | None = READ_LIMIT) -> None:
        """Refuses what is over a limit before anything is done about it."""
        if limit is not None and n > limit:
            raise LimitExceeded(
                f"asked for {n} bytes at once, the limit is {limit}", offset=self.offset
            )
        if self.max_size is not None and self.offset + n > self.max_size:
            raise LimitExceeded(
                f"input is larger than the limit of {self.max_size} bytes", offset=self.offset
            )

    def _short(self, wanted: int, got: int, start: int | None = None) -> Truncated:
        """Returns the error of a read that began at `start`, by default at the offset."""
        return Truncated(
            f"input ends after {got} of {wanted} bytes",
            wanted=wanted,
            got=got,
            offset=self.offset if start is None else start,
        )


class RangeSource(Source):
    """Bytes of a known length that are read by ranges, forward one after the other."""

    seekable = True

    def __init__(self, name: str, length: int, max_size: int | None) -> None:
        self.name = name
        self.offset = 0
        self.size: int | None = length
        self.max_size = max_size
        self._length = length

    @abstractmethod
    def _range(self, offset: int, n: int) -> memoryview:
        """Returns n bytes that are there."""

    def view(self, offset: int, n: int) -> memoryview:
        """Returns n bytes at an offset without moving; Truncated where they are not all there."""
        if offset + n > self._length:
            start = min(offset, self._length)
            raise self._short(n, self._length - start, start)
        return self._range(offset, n)

    def read(self, n: int) -> memoryview:
        """Returns the next n bytes."""
        self._allow(n, READ_LIMIT)
        part = self._range(self.offset, n)
        self.offset += n
        return part

    def peek(self, n: int) -> memoryview:
        """Returns up to n of the next bytes."""
        return self._range(self.offset, min(n, self._length - self.offset))

    def skip(self, n: int) -> None:
        """Moves the offset; nothing is read."""
        self._allow(n)
        self.offset += n

    def copy_to(self, out_fd: int, n: int) -> None:
        """Writes the next n bytes."""
        self._check(n, None)
        while n:
            part = self.read(min(n, SKIP_CHUNK))
            write_all(out_fd, part)
            n -= len(part)

    def at_end(self) -> bool:
        """Tells whether the offset has reached the length."""
        return self.offset == self._length

    def _allow(self, n: int, limit: int | None = None) -> None:
        if n > self._length - self.offset:
            raise self._short(n, self._length - self.offset)
        self._check(n, limit)


def warn_unclosed(source: Source) -> None:
    """Tells the developer, where warnings are on, that a source was left for the interpreter."""
    warnings.warn(f"unclosed input {source.name}", ResourceWarning, source=source, stacklevel=3)


def read_all(source: Source, limit: int = READ_LIMIT) -> bytes:
    """Returns everything up to the end. Raises LimitExceeded where that is more than `limit`."""
    whole = bytearray()
    while not source.at_end():
        part = source.read(len(source.peek(CHUNK)))
        if len(whole) + len(part) > limit:
            raise LimitExceeded(f"input is larger than {limit} bytes", offset=source.offset)
        whole += part
    return bytes(whole)


def write_all(fd: int, data: memoryview) -> None:
    """Writes every byte, however few the kernel takes at a time."""
    while data:
        data = data[os.write(fd, data) :]


def pwritev_all(fd: int, parts: list[memoryview], offset: int) -> None:
    """Writes parts one behind the other at an offset, however few bytes the kernel takes."""
    parts = parts[:]
    while parts:
        done = os.pwritev(fd, parts[:_VECTORS], offset)
        offset += done
        while parts and done >= len(parts[0]):
            done -= len(parts.pop(0))
        if done:
            parts[0] = parts[0][done:]


def is_zero(chunk: memoryview) -> bool:
    r"""Tells whether a chunk holds nothing but zeros.

    >>> is_zero(memoryview(bytes(9))), is_zero(memoryview(b"\0\1"))
    (True, False)
    """
    # A bytearray on the left compares at the speed of memory, a memoryview byte by byte.
    return (_ZEROS if len(chunk) == len(_ZEROS) else bytearray(len(chunk))) == chunk


def write_sparsely(fd: int, chunk: memoryview) -> None:
    """Writes a chunk; blocks of zeros are passed over, and so become holes.

    Whoever writes gives the file its size at the end: the last bytes may be a hole.
    """
    if is_zero(chunk):
        os.lseek(fd, len(chunk), os.SEEK_CUR)
        return
    start = 0
    for at in range(0, len(chunk), _BLOCK):
        block = chunk[at : at + _BLOCK]
        if is_zero(block):
            write_all(fd, chunk[start:at])
            os.lseek(fd, len(block), os.SEEK_CUR)
            start = at + len(block)
    write_all(fd, chunk[start:])
