"""The format: legacy streams are told by their first words, and walked as today's records."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LEGACY, Event
from xensave.container.format import Format
from xensave.container.streams.legacy import chunks
from xensave.container.streams.legacy.header import LegacyHeader, is_legacy, is_pv, told_width
from xensave.container.streams.legacy.reader import ChunkReader
from xensave.container.streams.legacy.upgrade import Upgrade
from xensave.source import Source

_HEAD = 32


class Legacy(Format):
    """A stream of libxc before 4.6, with the toolstack's chunk and the device model's state."""

    name = LEGACY
    title = "a legacy stream"
    records = chunks.RECORDS
    page = "docs/reference/formats/legacy.md"

    def matches(self, head: bytes) -> bool:
        """Tells a legacy stream by its first words."""
        return is_legacy(head)

    def walk(
        self,
        source: Source,
        header: LegacyHeader | None = None,
        *,
        stored: bool = False,
        nested: bool = True,
        device_model: bool = True,
    ) -> Iterator[Event]:
        """Yields the header, then the records of version 3 that the chunks stand for, or these.

        `header` says how wide the toolstack was and whether the guest is PV, if the first words
        are not to tell; `nested` asks for libxl's records around libxc's. Where there is no
        `device_model`, the stream ends with the context.
        """
        reader = ChunkReader(source, header or self.header(source), device_model=device_model)
        yield from reader.walk() if stored else Upgrade(source, reader, nested=nested).walk()

    def header(
        self, source: Source, width: int | None = None, pv: bool | None = None
    ) -> LegacyHeader:
        """Returns what is given, and what the first words tell of the rest.

        Raises Malformed where the width is not given and the input is no legacy stream.
        """
        head = bytes(source.peek(_HEAD))
        size = width or told_width(head)
        return LegacyHeader(0, size, is_pv(head, size) if pv is None else pv)


LEGACY_FORMAT = Legacy()
