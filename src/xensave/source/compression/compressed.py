"""Compressed input: recognised by its first bytes, decompressed in a bounded window."""

from typing import TYPE_CHECKING, NamedTuple

from xensave.errors import LimitExceeded, Malformed, Truncated, XensaveError
from xensave.source.limits import CHUNK, EXPANSION_FLOOR, EXPANSION_RATIO
from xensave.source.stream import Pull

if TYPE_CHECKING:
    from xensave.source.compression.codecs import Frame


class Codec(NamedTuple):
    """A compression: its name, and the first bytes that tell it."""

    name: str
    magics: tuple[bytes, ...]

    def start(self) -> "Frame":
        """Returns a decompressor of one frame."""
        # Plain input needs none of them.
        from xensave.source.compression.codecs import STARTS

        return STARTS[self.name]()


# Skippable frames (pzstd writes one first) begin with 0x184d2a50 - 0x184d2a5f.
SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))

GZIP = Codec("gzip", (b"\x1f\x8b\x08",))
CODECS = (
    Codec("zstd", (b"\x28\xb5\x2f\xfd", *SKIPPABLE)),
    Codec("xz", (b"\xfd7zXZ\x00",)),
    GZIP,
    Codec("bzip2", (b"BZh",)),
    Codec("lz4", (b"\x04\x22\x4d\x18",)),
)
MAGIC_SIZE = 6


def recognise(head: bytes) -> Codec | None:
    """Returns the compression that the first bytes announce, or None.

    >>> recognise(bytes.fromhex("28b52ffd0458")).name
    'zstd'
    """
    return next((codec for codec in CODECS if head.startswith(codec.magics)), None)


class Decompressor:
    """Frames one after another, as one run of bytes.

    Raises Malformed for corrupt data, Truncated where the compressed input ends inside a frame,
    and LimitExceeded where it grows out of all proportion and `bounded` is set.
    """

    def __init__(self, codec: Codec, pull: Pull, *, bounded: bool) -> None:
        self._codec = codec
        self._pull = pull
        self._bounded = bounded
        self._frame: Frame | None = codec.start()
        self._input = b""
        self._taken = 0
        self._given = 0

    def read(self, n: int) -> bytes:
        """Returns about n of the next decompressed bytes, at least one; none at the end."""
        while self._frame or self._next_frame():
            assert self._frame is not None
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
                continue
            out = self._step(self._frame, n)
            if out:
                self._given += len(out)
                self._check_growth()
                return out
        return b""

    def _step(self, frame: "Frame", n: int) -> bytes:
        if frame.needs_input and not self._input and not self._feed():
            raise Truncated(
                f"ends inside a frame, after {self._taken} compressed bytes",
                wanted=1,
                got=0,
                offset=self._given,
                path=f"{self._codec.name} data",
            )
        data, self._input = self._input, b""
        from xensave.source.compression.codecs import failures

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
            if not self._input.startswith(self._codec.magics):
                raise self._corrupt("bytes that are no frame follow the last one")
            self._frame = self._codec.start()
            return True

    def _feed(self) -> bool:
        more = self._pull(CHUNK)
        self._taken += len(more)
        self._input += more
        return bool(more)

    def _corrupt(self, why: str) -> XensaveError:
        return Malformed(f"corrupt {self._codec.name} data: {why}", offset=self._given)

    def _check_growth(self) -> None:
        allowed = max(EXPANSION_FLOOR, EXPANSION_RATIO * self._taken)
        if self._bounded and self._given > allowed:
            raise LimitExceeded(
                f"{self._taken} bytes of {self._codec.name} data became more than {allowed}; "
                "a size given as the limit allows more",
                offset=self._given,
            )
