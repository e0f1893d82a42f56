"""Compressed output: a descriptor to write to, whose bytes come out compressed at another."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple, Protocol

from xensave.errors import UsageError
from xensave.source.base import write_all
from xensave.source.kernel import widen_pipe
from xensave.source.limits import BLOCK


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Method(NamedTuple):
    """A compression: its name, the suffixes of its files, its levels and its compressor."""

    name: str
    suffixes: tuple[str, ...]
    lowest: int
    highest: int
    usual: int
    start: Callable[[int], _Compressor]


def _zstd(level: int) -> _Compressor:
    from xensave.source.compression.codecs import zstd_library

    library = zstd_library()
    parameter = library.CompressionParameter
    # A zstd that was built without threads takes none; what comes out is the same for any number.
    most = min(os.cpu_count() or 1, _MOST_WORKERS, parameter.nb_workers.bounds()[1])
    options = {parameter.compression_level: level, parameter.nb_workers: most}
    made: _Compressor = library.ZstdCompressor(options=options)
    return made


def _gzip(level: int) -> _Compressor:
    import zlib

    return zlib.compressobj(level, wbits=31)


def _xz(level: int) -> _Compressor:
    import lzma

    return lzma.LZMACompressor(preset=level)


def _bzip2(level: int) -> _Compressor:
    import bz2

    return bz2.BZ2Compressor(level)


_MOST_WORKERS = 4
"""Threads of zstd: each holds a few mebibytes."""

METHODS = (
    Method("zstd", (".zst", ".zstd"), 1, 19, 3, _zstd),
    Method("gzip", (".gz",), 1, 9, 6, _gzip),
    Method("xz", (".xz",), 0, 9, 6, _xz),
    Method("bzip2", (".bz2",), 1, 9, 9, _bzip2),
)


class Compression(NamedTuple):
    """A compression at a level."""

    method: Method
    level: int

    @classmethod
    def parse(cls, text: str) -> Compression:
        """Reads "zstd" or "zstd:19". Raises UsageError.

        >>> Compression.parse("xz:9").level
        9
        """
        name, _, level = text.partition(":")
        method = next((method for method in METHODS if method.name == name), None)
        if method is None:
            names = ", ".join(method.name for method in METHODS)
            raise UsageError(f"no compression {name!r}; there are {names}")
        if not level:
            return cls(method, method.usual)
        if not re.fullmatch(r"[0-9]{1,3}", level) or not (
            method.lowest <= int(level) <= method.highest
        ):
            raise UsageError(f"{name} has levels {method.lowest} to {method.highest}: {level!r}")
        return cls(method, int(level))

    @classmethod
    def of_name(cls, path: str) -> Compression | None:
        """Returns the compression that a file's name announces, if any.

        >>> Compression.of_name("guest.img.zst").method.name, Compression.of_name("guest.img")
        ('zstd', None)
        """
        for method in METHODS:
            if path.endswith(method.suffixes):
                return cls(method, method.usual)
        return None


@contextmanager
def compressing(fd: int, compression: Compression) -> Iterator[int]:
    """Gives a descriptor whose bytes are compressed into `fd`; all are written at the block's end.

    It is the end of a pipe, drained by a thread: whoever writes, writes as to any descriptor.
    """
    # Made here: what cannot start is told to whoever writes, not to a pipe that nobody drains.
    compressor = compression.method.start(compression.level)
    drain, write = os.pipe2(os.O_CLOEXEC)
    widen_pipe(write)
    failed: list[OSError] = []
    thread = Thread(target=_pump, args=(drain, fd, compressor, failed))
    thread.start()
    try:
        try:
            yield write
        finally:
            os.close(write)
            thread.join()
    except BrokenPipeError:
        # The thread gave up: its own error says why.
        if failed:
            raise failed[0] from None
        raise
    if failed:
        raise failed[0]


def _pump(drain: int, fd: int, compressor: _Compressor, failed: list[OSError]) -> None:
    try:
        buffer = memoryview(bytearray(BLOCK))
        while length := os.readv(drain, [buffer]):
            write_all(fd, memoryview(compressor.compress(buffer[:length])))
        write_all(fd, memoryview(compressor.flush()))
    except OSError as error:
        failed.append(error)
    finally:
        os.close(drain)
