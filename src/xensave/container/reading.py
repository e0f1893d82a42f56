"""Headers and records read from a source, with errors that name them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

from xensave.container.events import HEADER_KIND, RECORD, Event, Header, LayerName
from xensave.container.framing import HEADER, HEADER_SIZE, record_name
from xensave.errors import Truncated, XensaveError
from xensave.source import Source

H = TypeVar("H", bound=Header)


def read_header(
    source: Source, layer: LayerName, name: str, *, size: int, parse: Callable[[memoryview], Header]
) -> Event:
    """Returns the event of a header without a body.

    Raises what reading and parsing it raise, with the record's name and offset.
    """
    raw, header = _parsed(source, f"{layer} {name}", size, parse)
    return Event(source, layer, HEADER_KIND, name, raw, header=header)


def read_front(
    source: Source,
    layer: LayerName,
    *,
    size: int,
    parse: Callable[[memoryview], H],
    body: Callable[[H], int],
) -> Generator[Event, None, H]:
    """Yields the header that a file begins with, passes what it announces, and returns it.

    Raises what reading and parsing it raise, with the record's name and offset.
    """
    raw, header = _parsed(source, f"{layer} header", size, parse)
    event = Event(source, layer, HEADER_KIND, "header", raw, length=body(header), header=header)
    yield event
    event.finish()
    return header


def _parsed(
    source: Source, record: str, size: int, parse: Callable[[memoryview], H]
) -> tuple[memoryview, H]:
    start = source.offset
    try:
        raw = source.read(size)
        return raw, parse(raw)
    except XensaveError as error:
        error.record = record
        error.offset = start
        raise


def read_record(source: Source, layer: LayerName, names: Mapping[int, str]) -> Event:
    """Reads the header of a libxl or libxc record."""
    try:
        raw = source.read(HEADER_SIZE)
    except Truncated as error:
        error.record = f"{layer} record header"
        if error.got == 0 and not error.path:
            raise error.reworded("input ends without an END record") from error
        raise
    type_, length = HEADER.unpack(raw)
    name = names.get(type_) or record_name(type_, names)
    return Event(source, layer, RECORD, name, raw, length=length, type_=type_)
