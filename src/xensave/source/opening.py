"""From what the caller has (a path, `-`, a descriptor, an open file) to a source."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Protocol, cast

from xensave.errors import SourceError, Truncated, UsageError, XensaveError
from xensave.source.base import Source
from xensave.source.compression import MAGIC_SIZE, recognise
from xensave.source.memory import MappedSource, MemorySource
from xensave.source.stream import StreamSource, descriptor_source
from xensave.source.watch import announce


class BinaryFile(Protocol):
    """What is needed of a file object: `read(n)` that returns bytes."""

    def read(self, n: int, /) -> bytes:
        """Returns up to n bytes, none at the end."""


VHD = b"conectix"
"""How a dynamic VHD begins."""

Input = str | os.PathLike[str] | int | bytes | BinaryFile


def open_source(what: Input, *, max_size: int | None = None, format: str | None = None) -> Source:
    """Opens input for reading, decompressing it if its first bytes say so.

    `what` is a path, an address (`s3://bucket/guest.img`), `-` for standard input, a file
    descriptor, an open binary file or the bytes themselves. A regular file or block device is
    mapped, an object is read by ranges; anything else is read forward once. zstd, xz, gzip, bzip2
    and lz4 are recognised; compression inside compression is not undone. `max_size` limits
    the (decompressed) bytes; without it compressed input is held to EXPANSION_RATIO. `format` is
    the name of a container format, for whoever walks the source. Of a dynamic VHD, compressed or
    not, the source is the disk in it.

    Raises SourceError where nothing can be read: no file, no permission. An empty one is Truncated,
    as any other that ends too early.

    >>> import gzip
    >>> with open_source(gzip.compress(b"Xen saved domain")) as source:
    ...     bytes(source.read(3)), source.seekable
    (b'Xen', False)
    """
    source = _opened(what, max_size)
    source.format = format
    announce(source)
    return source


def _opened(what: Input, max_size: int | None) -> Source:
    source = _plain(what, max_size)
    head = bytes(source.peek(MAGIC_SIZE))
    if not head:
        source.close()
        raise Truncated("is empty", wanted=1, got=0).about(source.name)
    codec = recognise(head)
    if codec is not None:
        source = _decompressed(source, codec, max_size)
    return _disk(source, max_size) if source.peek(len(VHD)) == VHD else source


def _disk(source: Source, max_size: int | None) -> Source:
    """Returns what the disk in a dynamic VHD holds: its blocks lie anywhere in the file."""
    from xensave.source.spill import seekable
    from xensave.source.vhd import VhdSource

    file = seekable(source)
    try:
        return VhdSource(file, max_size=max_size)
    except XensaveError as error:
        file.name_in(error)
        file.close()
        raise


def _decompressed(source: Source, codec: str, max_size: int | None) -> Source:
    from xensave.source.compression.compressed import Decompressor

    # The limit is on what comes out, not on what goes in.
    source.max_size = None
    frames = Decompressor(codec, _puller(source), bounded=max_size is None)

    def again() -> Source | None:
        fresh = source.again()
        return None if fresh is None else _decompressed(fresh, codec, max_size)

    plain = StreamSource(frames.read, source.name, beneath=source, again=again, max_size=max_size)
    plain.file = source.file
    return plain


def _puller(source: Source) -> Callable[[int], bytes]:
    if isinstance(source, StreamSource):
        return source.read_some
    return lambda n: bytes(source.read(len(source.peek(n))))


def _plain(what: Input, max_size: int | None) -> Source:
    if isinstance(what, (bytes, bytearray, memoryview)):
        return MemorySource(what, getattr(what, "name", "<bytes>"), max_size=max_size)
    if isinstance(what, int):
        return _of_descriptor(what, f"<fd {what}>", owned=False, max_size=max_size)
    if isinstance(what, (str, os.PathLike)):
        path = os.fspath(what)
        if path == "-":
            return _of_descriptor(0, "<stdin>", owned=False, max_size=max_size)
        if "://" in path:
            from xensave.source.remote import is_address, local_path

            if is_address(path):
                from xensave.source.remote.source import open_address

                return open_address(path, max_size=max_size)
            path = local_path(path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceError(str(reason)).about(path) from error
        return _of_descriptor(fd, path, owned=True, max_size=max_size)
    return _of_file(what, max_size)


def _of_file(file: BinaryFile, max_size: int | None) -> Source:
    name = str(getattr(file, "name", "<file>"))
    if not callable(getattr(file, "read", None)):
        kind = type(file).__name__
        raise UsageError(f"input is a path, a descriptor, a binary file or bytes, not {kind}")
    try:
        fd = cast(int, file.fileno())  # type: ignore[attr-defined]  # io.BytesIO has none
        position = cast(int, file.tell())  # type: ignore[attr-defined]  # nor has a pipe a place
    except (AttributeError, OSError):
        return StreamSource(_checked(file, name), name, max_size=max_size)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return StreamSource(_checked(file, name), name, max_size=max_size)
    return _mapped(fd, position, name, owned=False, max_size=max_size)


def _checked(file: BinaryFile, name: str) -> Callable[[int], bytes]:
    read = cast("Callable[[int], bytes]", getattr(file, "read1", file.read))

    def pull(n: int) -> bytes:
        data = read(n)
        if not isinstance(data, bytes):
            raise SourceError("is not open for reading bytes").about(name)
        return data

    return pull


def _of_descriptor(fd: int, name: str, *, owned: bool, max_size: int | None) -> Source:
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            position = os.lseek(fd, 0, os.SEEK_CUR)
            return _mapped(fd, position, name, owned=owned, max_size=max_size)
        if stat.S_ISBLK(mode) and os.lseek(fd, 0, os.SEEK_CUR) == 0:
            return _device(fd, name, owned=owned, max_size=max_size)
        if not stat.S_ISDIR(mode):
            return descriptor_source(fd, name, owned=owned, max_size=max_size)
        reason = "is a directory"
    except OSError as error:
        reason = error.strerror or str(error)
    except OverflowError:
        reason = "no number of a descriptor"
    except UsageError:
        if owned:
            os.close(fd)
        raise
    if owned:
        os.close(fd)
    raise SourceError(reason).about(name)


def _mapped(fd: int, position: int, name: str, *, owned: bool, max_size: int | None) -> Source:
    if os.fstat(fd).st_size <= position:
        # A file of /proc or /sys has no size, and bytes all the same; an empty one has none.
        return descriptor_source(fd, name, owned=owned, max_size=max_size)
    return MappedSource(fd, position, name, owned=owned, max_size=max_size)


def _device(fd: int, name: str, *, owned: bool, max_size: int | None) -> Source:
    """Maps a block device; it says how long it is by where its end can be found."""
    size = os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, 0, os.SEEK_SET)
    if size == 0:
        return descriptor_source(fd, name, owned=owned, max_size=max_size)
    return MappedSource(fd, 0, name, owned=owned, max_size=max_size, length=size)


def can_be_read_twice(what: Input) -> bool:
    """Tells whether input can be opened again: a file or block device by its path, or bytes."""
    if isinstance(what, (str, os.PathLike)) and what != "-":
        try:
            mode = os.stat(what).st_mode  # noqa: PTH116 - pathlib is slow
            return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
        except (OSError, ValueError):
            return False
    return isinstance(what, (bytes, bytearray, memoryview))
