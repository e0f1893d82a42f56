"""Compressed input, decompressed in a bounded window."""

from __future__ import annotations

from xensave.errors import LimitExceeded, Malformed, Truncated, XensaveError
from xensave.source.compression import CODECS, MAGIC_SIZE
from xensave.source.compression.codecs import STARTS, CompressedFrame, failures
from xensave.source.limits import CHUNK, EXPANSION_FLOOR, EXPANSION_RATIO
from xensave.source.stream import Pull


class Decompressor:
    """Frames one after another, as one run of bytes.

    `codec` is its name in CODECS.

    Raises Malformed for corrupt data, Truncated where the compressed input ends inside a frame,
    and LimitExceeded where it grows out of all proportion and `bounded` is set.
    """

    def __init__(self, codec: str, pull: Pull, *, bounded: bool) -> None:
        self._codec = codec
        self._pull = pull
        self._bounded = bounded
        self._frame: CompressedFrame | None = STARTS[codec]()
        self._input = b""
        self._taken = 0
        self._passed_on = 0

    def read(self, n: int) -> bytes:
        """Returns about n of the next decompressed bytes, at least one; none at the end."""
        while self._frame or self._next_frame():
            assert self._frame is not None
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
                continue
            out = self._step(self._frame, n)
            if out:
                self._passed_on += len(out)
                self._check_growth()
                return out
        return b""

    def _step(self, frame: CompressedFrame, n: int) -> bytes:
        if frame.needs_input and not self._input and not self._feed():
            raise Truncated(
                f"ends inside a frame, after {self._taken} compressed bytes",
                wanted=1,
                got=0,
                offset=self._passed_on,
                path=f"{self._codec} data",
            )
        data, self._input = self._input, b""
        try:
            out = frame.decompress(data, n)
        except failures() as error:
            raise self._corrupt(str(error) or type(error).__name__) from error
        if frame.eof:
            self._input, self._frame = frame.unused_data, None
        return out

    def _next_frame(self) -> bool:
        """Starts the next frame; False at the end of input. Zero padding may lie between."""
        while True:
            self._input = self._input.lstrip(b"\0")
            if len(self._input) < MAGIC_SIZE and self._feed():
                continue
            if not self._input:
                return False
            if not self._input.startswith(CODECS[self._codec]):
                raise self._corrupt("bytes that are no frame follow the last one")
            self._frame = STARTS[self._codec]()
            return True

    def _feed(self) -> bool:
        more = self._pull(CHUNK)
        self._taken += len(more)
        self._input += more
        return bool(more)

    def _corrupt(self, why: str) -> XensaveError:
        return Malformed(f"corrupt {self._codec} data: {why}", offset=self._passed_on)

    def _check_growth(self) -> None:
        allowed = max(EXPANSION_FLOOR, EXPANSION_RATIO * self._taken)
        if self._bounded and self._passed_on > allowed:
            raise LimitExceeded(
                f"{self._taken} bytes of {self._codec} data became more than {allowed}; "
                "a size given as the limit allows more",
                offset=self._passed_on,
            )
