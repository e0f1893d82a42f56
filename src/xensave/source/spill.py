"""Input that comes once, written to a file without a name, so that any place of it can be read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import FileIO

from xensave.errors import SourceError
from xensave.source.base import Source, write_sparsely
from xensave.source.limits import CHUNK
from xensave.source.memory import MappedSource, MemorySource


def seekable(source: Source) -> Source:
    """Returns a source of the same bytes that is seekable: itself where it is.

    A pipe or compressed input is written, as far as it was not read yet, to a file without a name
    in $TMPDIR (else /tmp), which only this process can open; it goes when the source is closed.
    Zeros become holes. `source` is read to its end and closed.

    >>> import gzip
    >>> from xensave.source import open_source
    >>> with seekable(open_source(gzip.compress(b"Xen saved domain"))) as whole:
    ...     bytes(whole.view(4, 5)), whole.seekable
    (b'saved', True)
    """
    if source.seekable:
        return source
    file = source.file
    with source:
        try:
            fd = _spilled(source)
        except OSError as error:
            raise _unwritable(source, error) from error
    if not os.fstat(fd).st_size:
        os.close(fd)
        return MemorySource(b"", source.name)
    whole = MappedSource(fd, 0, source.name, owned=True)
    whole.file = file
    return whole


def mapped(source: Source, ranges: Iterable[tuple[int, int]]) -> MemorySource:
    """Returns a source that is mapped and has the same bytes at these offsets and lengths.

    A seekable one that is not (a VHD, an object in a store) is written there to a file without a
    name, and what lies between is a hole.
    """
    if isinstance(source, MemorySource):
        return source
    try:
        with unnamed_file() as file:
            size = _copied(source, ranges, file.fileno())
            if not size:
                return MemorySource(b"", source.name)
            return MappedSource(os.dup(file.fileno()), 0, source.name, owned=True)
    except OSError as error:
        raise _unwritable(source, error) from error


def _copied(source: Source, ranges: Iterable[tuple[int, int]], fd: int) -> int:
    size = 0
    for offset, length in ranges:
        for at in range(offset, offset + length, CHUNK):
            os.lseek(fd, at, os.SEEK_SET)
            write_sparsely(fd, source.view(at, min(CHUNK, offset + length - at)))
        size = max(size, offset + length)
    os.ftruncate(fd, size)
    return size


def unnamed_file() -> FileIO:
    """Returns a file in $TMPDIR (else /tmp) without a name; it goes when it is closed."""
    import tempfile

    return tempfile.TemporaryFile(buffering=0)


def _unwritable(source: Source, error: OSError) -> SourceError:
    import tempfile

    return SourceError(
        f"cannot be written to a temporary file in {tempfile.gettempdir()}: {error.strerror}"
    ).about(source.name)


def _spilled(source: Source) -> int:
    with unnamed_file() as file:
        fd = file.fileno()
        size = 0
        while chunk := source.peek(CHUNK):
            write_sparsely(fd, source.read(len(chunk)))
            size += len(chunk)
        os.ftruncate(fd, size)
        return os.dup(fd)
