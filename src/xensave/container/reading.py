"""Headers and records read from a source, with errors that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from xensave.container.events import HEADER_KIND, RECORD, Event, Header
from xensave.container.framing import HEADER, HEADER_SIZE, record_name
from xensave.errors import Truncated, XensaveError
from xensave.source import Source

H = TypeVar("H", bound=Header)


def read_header(
    source: Source,
    layer: str,
    name: str,
    *,
    size: int,
    parse: Callable[[memoryview], H],
    body: Callable[[H], int] | None = None,
) -> Event:
    """Reads and parses a header of `size` bytes; `body` tells the length of what belongs to it."""
    start = source.offset
    try:
        raw = source.read(size)
        parsed = parse(raw)
    except XensaveError as error:
        error.record = f"{layer} {name}"
        error.offset = start
        raise
    length = body(parsed) if body is not None else 0
    return Event(source, layer, HEADER_KIND, name, raw, length=length, header=parsed)


def read_record(source: Source, layer: str, names: Mapping[int, str]) -> Event:
    """Reads the header of a libxl or libxc record."""
    try:
        raw = source.read(HEADER_SIZE)
    except Truncated as error:
        error.record = f"{layer} record header"
        if error.got == 0 and not error.path:
            error.message = "input ends without an END record"
        raise
    type_, length = HEADER.unpack(raw)
    name = names.get(type_) or record_name(type_, names)
    return Event(source, layer, RECORD, name, raw, length=length, type_=type_)
