"""Decompressors of one frame each, all of one shape: that of bz2, lzma and lz4."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Protocol

from xensave.source.limits import XZ_MEMORY, ZSTD_WINDOW


class CompressedFrame(Protocol):
    """Decompresses one frame: feed it while it needs input, until it is at its end."""

    @property
    def eof(self) -> bool:
        """Tell whether the frame is complete."""

    @property
    def needs_input(self) -> bool:
        """Tell whether more output takes more input."""

    @property
    def unused_data(self) -> bytes:
        """Return what followed the frame in the last input."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Returns up to max_length bytes."""


class _Gzip:
    """zlib's object in the shape of the others."""

    def __init__(self) -> None:
        import zlib

        self._object = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


class _Lz4:
    """lz4's object, whose unused data is None where there is none."""

    def __init__(self) -> None:
        import lz4.frame

        self._object = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._object.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data or b"")

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return bytes(self._object.decompress(data, max_length))


_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def zstd_library() -> ModuleType:
    """Returns the standard library's module, or before 3.14 its backport."""
    return import_module(_ZSTD)


def zstd() -> CompressedFrame:
    """Starts a zstd frame; a window above ZSTD_WINDOW is refused."""
    library = zstd_library()
    window = library.DecompressionParameter.window_log_max
    frame: CompressedFrame = library.ZstdDecompressor(
        options={window: ZSTD_WINDOW.bit_length() - 1}
    )
    return frame


def xz() -> CompressedFrame:
    """Starts an xz stream."""
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def bzip2() -> CompressedFrame:
    """Starts a bzip2 stream."""
    import bz2

    return bz2.BZ2Decompressor()


STARTS: dict[str, Callable[[], CompressedFrame]] = {
    "zstd": zstd,
    "xz": xz,
    "gzip": _Gzip,
    "bzip2": bzip2,
    "lz4": _Lz4,
}
"""What makes a decompressor, by the compression's name."""


def failures() -> tuple[type[Exception], ...]:
    """Returns what the decompressors raise for corrupt data; each library has its own."""
    import lzma
    import zlib

    known = (zlib.error, lzma.LZMAError, OSError, ValueError, RuntimeError)
    # Whoever decompresses no zstd does not pay for loading it.
    return (*known, zstd_library().ZstdError) if _ZSTD in sys.modules else known
