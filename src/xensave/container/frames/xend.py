"""What xend saved (`xm save`, Xen 4.4 and earlier): a magic, a configuration, a legacy stream.

16 bytes of magic, a big-endian 32-bit length, the configuration as an s-expression of xend's.
Source: tools/python/xen/xend/XendCheckpoint.py of Xen 4.4.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.description import GuestDescription, Json, configuration
from xensave.container.events import XEND, Event, Header
from xensave.container.format import Format
from xensave.container.frames import sexp
from xensave.container.reading import read_front
from xensave.container.streams.legacy import LEGACY_FORMAT
from xensave.errors import Malformed, XensaveError
from xensave.source import Source

MAGIC = b"LinuxGuestRecord"
SIZE = 20

_LENGTH = struct.Struct(">i")
_MIB = 1024


class XendHeader(NamedTuple):
    """The length of the configuration that follows."""

    config_length: int = 0

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "XendHeader":
        """Reads SIZE bytes. Raises Malformed for a bad magic or a negative length."""
        if bytes(data[: len(MAGIC)]) != MAGIC:
            raise Malformed("not the magic of a xend save file", record="xend header")
        length = _LENGTH.unpack_from(data, len(MAGIC))[0]
        if length < 0:
            raise Malformed(f"a configuration of {length} bytes", record="xend header")
        return cls(length)

    def to_bytes(self) -> bytes:
        """Returns the SIZE bytes again."""
        return MAGIC + _LENGTH.pack(self.config_length)

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        return f"{self.config_length} bytes of configuration"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return XEND

    @property
    def version(self) -> None:
        """Files of xend have no version."""
        return


class Xend(Format):
    """A save file of xend."""

    name = XEND
    title = "a xend save file"
    magics = (MAGIC,)
    page = "docs/reference/formats/legacy.md"

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the header with the configuration, and the stream behind it."""
        yield from read_front(
            source, XEND, size=SIZE, parse=XendHeader.parse, body=lambda head: head.config_length
        )
        yield from LEGACY_FORMAT.walk(source, stored=stored)

    def announcing(self, header: Header, *, legacy: bool = False) -> Header | None:
        """Returns None for a stream of today: no xend restores one."""
        return header if legacy else None

    def describe(self, body: bytes) -> GuestDescription:
        """Returns what the configuration says, in the shape of libxl's."""
        text = body.decode("utf-8", "replace")
        try:
            root = sexp.parse(body, xend=True)
        except XensaveError as error:
            error.record = "xend header"
            return GuestDescription(text=text, wrong=error)
        return GuestDescription(_config(root), text)


XEND_FORMAT = Xend()


def _config(root: sexp.Sexp) -> dict[str, Json]:
    image = sexp.field(root, "image")
    kind = image[0] if isinstance(image, list) and image else ""
    memory = _number(root, "maxmem")
    return configuration(
        sexp.text(root, "name"),
        sexp.text(root, "uuid"),
        {"hvm": "hvm", "linux": "pv"}.get(sexp.word(kind)),
        memkb=None if memory is None else memory * _MIB,
        vcpus=_number(root, "vcpus"),
    )


def _number(root: sexp.Sexp, key: str) -> int | None:
    text = sexp.text(root, key)
    return int(text) if text.isdecimal() and len(text) < 12 else None
