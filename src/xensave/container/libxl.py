"""libxl's stream, version 2: a header, then records up to END.

Source: docs/specs/libxl-migration-stream.pandoc; tools/libs/light/libxl_sr_stream_format.h.
"""

import struct
from typing import NamedTuple

from xensave.errors import LimitExceeded, Malformed, Unsupported

MAGIC = b"LibxlFmt"
SIZE = 16
VERSION = 2
OPTION_BIG_ENDIAN = 1 << 0
OPTION_LEGACY = 1 << 1
KNOWN_OPTIONS = OPTION_BIG_ENDIAN | OPTION_LEGACY

END = 0
LIBXC_CONTEXT = 1
EMULATOR_XENSTORE_DATA = 2
EMULATOR_CONTEXT = 3
CHECKPOINT_END = 4
CHECKPOINT_STATE = 5

RECORDS = {
    END: "END",
    LIBXC_CONTEXT: "LIBXC_CONTEXT",
    EMULATOR_XENSTORE_DATA: "EMULATOR_XENSTORE_DATA",
    EMULATOR_CONTEXT: "EMULATOR_CONTEXT",
    CHECKPOINT_END: "CHECKPOINT_END",
    CHECKPOINT_STATE: "CHECKPOINT_STATE",
}

EMULATORS = {0: "unknown", 1: "QEMU traditional", 2: "QEMU upstream"}

CHECKPOINT_STATES = {
    0: "new checkpoint",
    1: "secondary suspended",
    2: "secondary ready",
    3: "secondary resumed",
}

_HEADER = struct.Struct(">8sII")
_EMULATOR = struct.Struct("<II")
EMULATOR_HEADER_SIZE = _EMULATOR.size

XENSTORE_LIMIT = 1 << 20
"""Longer xenstore data is not split into keys and values; QEMU's is a few KiB."""


class LibxlHeader(NamedTuple):
    """The stream's header; every field of it is big-endian.

    >>> LibxlHeader.parse(LibxlHeader().to_bytes())
    LibxlHeader(version=2, options=0)
    """

    version: int = VERSION
    options: int = 0

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "LibxlHeader":
        """Read SIZE bytes. Raises Malformed or Unsupported where what follows cannot be read."""
        magic, version, options = _HEADER.unpack(data)
        if magic != MAGIC:
            raise Malformed("not the magic of a libxl stream", record="libxl header")
        if version != VERSION:
            raise Unsupported(
                f"libxl stream of version {version}, expected {VERSION}", record="libxl header"
            )
        if options & OPTION_BIG_ENDIAN:
            raise Unsupported("big-endian libxl stream", record="libxl header")
        return cls(version, options)

    def to_bytes(self) -> bytes:
        """Return the SIZE bytes again."""
        return _HEADER.pack(MAGIC, self.version, self.options)


class EmulatorHeader(NamedTuple):
    """What begins the body of both emulator records: whose state, and of which instance of it."""

    emulator_id: int
    emulator_index: int

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "EmulatorHeader":
        """Read the first 8 bytes of a body."""
        if len(body) < _EMULATOR.size:
            raise Malformed(f"{len(body)} bytes hold no emulator header", record="libxl emulator")
        return cls(*_EMULATOR.unpack_from(body))

    def to_bytes(self) -> bytes:
        """Return the 8 bytes again."""
        return _EMULATOR.pack(*self)

    @property
    def name(self) -> str:
        """The emulator's name, or its number."""
        return EMULATORS.get(self.emulator_id, f"emulator {self.emulator_id:#x}")


def parse_xenstore(data: bytes | memoryview) -> list[tuple[str, str]]:
    r"""Return the keys and values after the emulator header of EMULATOR_XENSTORE_DATA.

    Bytes that are not UTF-8 come out as surrogates, so that `pack_xenstore` gives them back.

    >>> parse_xenstore(b"physmap/0/name\0vga.vram\0")
    [('physmap/0/name', 'vga.vram')]
    """
    if not data:
        return []
    if len(data) > XENSTORE_LIMIT + EMULATOR_HEADER_SIZE:
        raise LimitExceeded(
            f"{len(data)} bytes of xenstore data, the limit is {XENSTORE_LIMIT}", record=_XENSTORE
        )
    if data[-1] != 0:
        raise Malformed("xenstore data does not end in NUL", record=_XENSTORE)
    words = [word.decode("utf-8", "surrogateescape") for word in bytes(data[:-1]).split(b"\0")]
    if len(words) % 2:
        raise Malformed(f"{len(words)} strings are no keys with values", record=_XENSTORE)
    return list(zip(words[::2], words[1::2], strict=True))


def pack_xenstore(pairs: list[tuple[str, str]]) -> bytes:
    """Return keys and values as they lie in the record."""
    return b"".join(
        word.encode("utf-8", "surrogateescape") + b"\0" for pair in pairs for word in pair
    )


_XENSTORE = "libxl EMULATOR_XENSTORE_DATA"
