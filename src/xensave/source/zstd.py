"""One zstd frame in the shape of the other decompressors, with a limit on what comes out.

The library decompresses all that it is fed, and four bytes can become 128 KiB. So it is fed
whole blocks: each begins with three bytes that say how long it is, and becomes 128 KiB at most.
Source: RFC 8878, 3.1.1 and 3.1.2.
"""

from __future__ import annotations

import zstandard

from xensave.source.limits import ZSTD_WINDOW

BLOCK_MAX: int = zstandard.BLOCKSIZE_MAX
_HEADER_MAX = 18
_BLOCK_HEADER = 3
_RLE = 1
_CHECKSUM = 4
_SKIPPABLE = b"\x2a\x4d\x18"
_SKIPPABLE_HEADER = 8


class ZstdFrame:
    """Decompresses a frame; a call gives max_length bytes, or two blocks if that is more."""

    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._held = b""
        self._fed = 0
        # Where in what is held the next header stands, or will.
        self._next = 0
        self._begun = False
        self._ended = False
        self._trailer = 0
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Tell whether the frame is complete."""
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        """Return what followed the frame in the last input."""
        return bytes(self._object.unused_data)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return what the next blocks hold: none where a block or header is not all there."""
        if data:
            self._held = self._held[self._fed :] + data
            self._next -= self._fed
            self._fed = 0
        end = self._reach(max(1, max_length // BLOCK_MAX - 1))
        piece = memoryview(self._held)[self._fed : end]
        self._fed = end
        return bytes(self._object.decompress(piece)) if piece else b""

    def _reach(self, blocks: int) -> int:
        """Return where so many blocks end, or where the bytes do."""
        while blocks and not self._ended:
            size = self._size() if self._begun else self._begin()
            if size is None:
                break
            self._next += size
            blocks -= 1
        self.needs_input = blocks > 0
        # The library tells where the frame ends, and gives back what follows it.
        return len(self._held) if self._ended else min(self._next, len(self._held))

    def _begin(self) -> int | None:
        """Return the size of the frame's header, None where it is not all there."""
        head = self._held[self._next : self._next + _HEADER_MAX]
        if head[1:4] == _SKIPPABLE:
            self._ended = True
            return _SKIPPABLE_HEADER
        try:
            size: int = zstandard.frame_header_size(head)
            self._trailer = _CHECKSUM * zstandard.get_frame_parameters(head).has_checksum
        except zstandard.ZstdError:
            if len(head) < _HEADER_MAX:
                return None
            raise
        self._begun = True
        return size

    def _size(self) -> int | None:
        """Return the size of a block with its header, None where that is not all there."""
        head = self._held[self._next : self._next + _BLOCK_HEADER]
        if len(head) < _BLOCK_HEADER:
            return None
        word = int.from_bytes(head, "little")
        self._ended = bool(word & 1)
        body = 1 if word >> 1 & 3 == _RLE else word >> 3
        return _BLOCK_HEADER + body + (self._trailer if self._ended else 0)
