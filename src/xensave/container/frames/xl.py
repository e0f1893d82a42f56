"""The header that `xl save` and `xl migrate` put before a stream.

32 bytes of magic, four native 32-bit words (byte order, mandatory flags, optional flags, length
of the optional data), then the optional data: a 32-bit length and the domain's configuration.
Source: struct save_file_header in tools/xl/xl.h, read by tools/xl/xl_vmcontrol.c.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.events import LEGACY, LIBXL, XL, Event, Header
from xensave.container.format import Format
from xensave.container.formats import format_named
from xensave.container.reading import read_front
from xensave.container.streams import libxc
from xensave.container.streams.libxc import LIBXC_FORMAT
from xensave.container.streams.libxl import LIBXL_FORMAT
from xensave.errors import Malformed, Unsupported, UsageError
from xensave.source import Source

MAGIC = b"Xen saved domain, xl format\n \0 \r"
SIZE = 48
BYTE_ORDER = 0x01020304
SWAPPED = 0x04030201

FLAG_JSON = 1 << 0
FLAG_STREAM_V2 = 1 << 1
KNOWN_FLAGS = FLAG_JSON | FLAG_STREAM_V2

CONFIG_LIMIT = 1 << 20
"""A longer configuration is not parsed; libxl's own are a few KiB."""

MESSAGE = b"domain is yours, you are cleared to unpause"
"""What xl's sender tells the receiver after a live stream (migrate_permission_to_go, xl.h)."""

_WORDS = struct.Struct("<4I")


class XlHeader(NamedTuple):
    """The fixed part of the header; `optional_length` bytes of optional data follow it.

    >>> header = XlHeader(mandatory_flags=FLAG_STREAM_V2, optional_length=0)
    >>> XlHeader.parse(header.to_bytes()) == header
    True
    """

    mandatory_flags: int = FLAG_JSON | FLAG_STREAM_V2
    optional_flags: int = 0
    optional_length: int = 0
    byte_order: int = BYTE_ORDER

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "XlHeader":
        """Reads SIZE bytes. Raises Malformed for a bad magic, Unsupported for big endian."""
        if bytes(data[: len(MAGIC)]) != MAGIC:
            raise Malformed("not the magic of an xl header", offset=0, record="xl header")
        order, mandatory, optional, length = _WORDS.unpack_from(data, len(MAGIC))
        if order == SWAPPED:
            raise Unsupported("big-endian xl header", offset=32, record="xl header")
        return cls(mandatory, optional, length, order)

    def to_bytes(self) -> bytes:
        """Returns the SIZE bytes again."""
        return MAGIC + _WORDS.pack(
            self.byte_order, self.mandatory_flags, self.optional_flags, self.optional_length
        )

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        return f"flags {self.mandatory_flags:#x}, {self.optional_length} bytes of optional data"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return XL

    @property
    def version(self) -> None:
        """Only flags tell one header of xl's from another."""
        return

    @property
    def json(self) -> bool:
        """Whether the configuration is JSON (it is xl's own syntax else)."""
        return bool(self.mandatory_flags & FLAG_JSON)

    @property
    def stream_v2(self) -> bool:
        """Whether a libxl stream follows (a legacy stream does else)."""
        return bool(self.mandatory_flags & FLAG_STREAM_V2)


class OptionalData(NamedTuple):
    r"""The optional data: the configuration as it lies there, and what may follow it.

    >>> OptionalData.parse(b"\x03\0\0\0{}\0")
    OptionalData(config=b'{}\x00', tail=b'')
    """

    config: bytes
    tail: bytes = b""

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "OptionalData":
        """Reads optional data. Raises Malformed where its own length does not fit."""
        if not data:
            return cls(b"")
        if len(data) < 4:
            raise Malformed(f"{len(data)} bytes of optional data hold no length", record=_OPTIONAL)
        length = int.from_bytes(data[:4], "little")
        if length > len(data) - 4:
            raise Malformed(
                f"configuration of {length} bytes in {len(data) - 4} of optional data",
                record=_OPTIONAL,
            )
        return cls(bytes(data[4 : 4 + length]), bytes(data[4 + length :]))

    def to_bytes(self) -> bytes:
        """Returns the bytes again; none for no configuration and no tail."""
        if not self.config and not self.tail:
            return b""
        return len(self.config).to_bytes(4, "little") + self.config + self.tail

    @property
    def text(self) -> str:
        """The configuration as text, without the NUL that ends it."""
        return self.config.rstrip(b"\0").decode("utf-8", "replace")


_OPTIONAL = "xl optional data"


class Xl(Format):
    """What `xl save` writes: a header with the configuration, and a stream."""

    name = XL
    inner = LIBXL
    demands = "the guest's configuration (libxl's JSON, or xl.cfg)"
    title = "an xl save file"
    magics = (MAGIC,)
    page = "docs/reference/formats/xl.md"

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the header, and the events of the stream in it."""
        header = yield from read_front(
            source, XL, size=SIZE, parse=XlHeader.parse, body=lambda head: head.optional_length
        )
        inner: Format = LIBXL_FORMAT
        if not header.stream_v2:
            # Such a file of xl's own has a legacy stream.
            modern = LIBXC_FORMAT.matches(bytes(source.peek(len(libxc.MAGIC))))
            inner = LIBXC_FORMAT if modern else format_named(LEGACY)
        yield from inner.walk(source, stored=stored)

    def front(self, metadata: bytes, options: int = 0) -> bytes:
        """Returns a header with the configuration, and what begins the libxl stream.

        `metadata` is optional data as another xl header had it, or a configuration's text.

        Raises UsageError for a configuration with a NUL in it.
        """
        config = _config(metadata)
        if b"\0" in config[:-1]:
            raise UsageError("a configuration with a NUL in it")
        json = FLAG_JSON if config.lstrip().startswith(b"{") else 0
        optional = OptionalData(config).to_bytes()
        header = XlHeader(FLAG_STREAM_V2 | json, optional_length=len(optional))
        return header.to_bytes() + optional + LIBXL_FORMAT.front(b"", options)

    def back(self) -> bytes:
        """Returns what ends the libxl stream."""
        return LIBXL_FORMAT.back()

    def announcing(self, header: Header, *, legacy: bool = False) -> Header:
        """Sets the flag of the libxl stream, or clears it for a legacy one."""
        assert isinstance(header, XlHeader)
        if legacy:
            return header._replace(mandatory_flags=header.mandatory_flags & ~FLAG_STREAM_V2)
        return header._replace(mandatory_flags=header.mandatory_flags | FLAG_STREAM_V2)


XL_FORMAT = Xl()


def _config(metadata: bytes) -> bytes:
    """Returns a configuration with its NUL."""
    if int.from_bytes(metadata[:4], "little") == len(metadata) - 4:
        return OptionalData.parse(metadata).config
    return metadata.rstrip(b"\0") + b"\0"
