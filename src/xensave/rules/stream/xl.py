"""Rules of the xl header (tools/xl/xl.h, tools/xl/xl_vmcontrol.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container import xl
from xensave.container.events import LIBXC, XL, Event
from xensave.errors import Malformed
from xensave.findings import ERROR, WARNING
from xensave.rules.stream.model import Check, Fault, Rule
from xensave.rules.stream.state import State

BYTE_ORDER = Rule("XL_BYTE_ORDER_NATIVE", ERROR, "The byte order word reads 0x01020304.")
MANDATORY = Rule("XL_MANDATORY_FLAGS_KNOWN", ERROR, "Only mandatory flags 0 and 1 are set.")
OPTIONAL = Rule("XL_OPTIONAL_FLAGS_ZERO", WARNING, "No optional flag is set; none is defined.")
STREAM_V2 = Rule("XL_STREAM_V2_SET", WARNING, "Mandatory flag 1 announces the libxl stream.")
FITS = Rule("XL_CONFIG_FITS", ERROR, "The configuration ends within the optional data.")
JSON = Rule("XL_CONFIG_JSON", ERROR, "A configuration flagged as JSON is JSON.")
SIZE = Rule("XL_CONFIG_BOUNDED", WARNING, "The optional data is a configuration's size.")


def header(event: Event, _: State) -> Iterator[Fault]:
    """Check the words of the header."""
    head = event.header
    assert isinstance(head, xl.XlHeader)
    if head.byte_order != xl.BYTE_ORDER:
        yield Fault(BYTE_ORDER, f"byte order {head.byte_order:#010x}, expected 0x01020304")
    unknown = head.mandatory_flags & ~xl.KNOWN_FLAGS
    if unknown:
        yield Fault(MANDATORY, f"mandatory flags {unknown:#x} are not known: a restore refuses")
    if head.optional_flags:
        yield Fault(OPTIONAL, f"optional flags {head.optional_flags:#x}, none is defined")


def modern(_: Event, state: State) -> Iterator[Fault]:
    """Check that a libxc stream is announced: without the flag a legacy one is."""
    head = state.headers.get(XL)
    if isinstance(head, xl.XlHeader) and not head.stream_v2:
        yield Fault(STREAM_V2, "mandatory flag 1 of xl's header is clear: xl takes it for legacy")


def configuration(event: Event, _: State) -> Iterator[Fault]:
    """Check the optional data."""
    head = event.header
    assert isinstance(head, xl.XlHeader)
    if event.length > xl.CONFIG_LIMIT:
        yield Fault(SIZE, f"{event.length} bytes of optional data are not looked into")
        return
    try:
        optional = xl.OptionalData.parse(event.body())
    except Malformed as error:
        yield Fault(FITS, error.message, event.body_offset)
        return
    if head.json and optional.config and not _is_json(optional.config):
        yield Fault(JSON, "the configuration is not JSON, as flag 0 says", event.body_offset + 4)


def _is_json(config: bytes) -> bool:
    import json

    try:
        json.loads(config.rstrip(b"\0"))
    except (ValueError, RecursionError):
        # Nested beyond what a parser follows is as unusable as what is no JSON.
        return False
    return True


# fmt: off
CHECKS = (
    Check(XL, (), header, (BYTE_ORDER, MANDATORY, OPTIONAL), "header"),
    Check(LIBXC, (), modern, (STREAM_V2,), "image header"),
    Check(XL, (), configuration, (SIZE, FITS, JSON), "header"),
)
# fmt: on
