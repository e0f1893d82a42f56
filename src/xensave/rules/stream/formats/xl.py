"""Rules of the xl header (tools/xl/xl.h, tools/xl/xl_vmcontrol.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXC, XL, Event
from xensave.container.frames import xl
from xensave.container.frames.config import parse_config
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.state import StreamState

_CREATE_DOMAIN = refused_by(XL, "create_domain")
BYTE_ORDER = StreamRule(
    "XL_BYTE_ORDER_NATIVE", ERROR, "The byte order word reads 0x01020304.", _CREATE_DOMAIN
)
MANDATORY = StreamRule(
    "XL_MANDATORY_FLAGS_KNOWN", ERROR, "Only mandatory flags 0 and 1 are set.", _CREATE_DOMAIN
)
OPTIONAL = StreamRule(
    "XL_OPTIONAL_FLAGS_ZERO", WARNING, "No optional flag is set; none is defined."
)
STREAM_V2 = StreamRule("XL_STREAM_V2_SET", WARNING, "Mandatory flag 1 announces the libxl stream.")
FITS = StreamRule(
    "XL_CONFIG_FITS", ERROR, "The configuration ends within the optional data.", _CREATE_DOMAIN
)
JSON = StreamRule("XL_CONFIG_JSON", ERROR, "A configuration flagged as JSON is JSON.")
FLAGGED = StreamRule("XL_CONFIG_FLAGGED", NOTE, "A configuration that is JSON is flagged so.")
PRESENT = StreamRule("XL_CONFIG_PRESENT", NOTE, "A configuration has members: xl restores by it.")
SIZE = StreamRule("XL_CONFIG_BOUNDED", WARNING, "The optional data is a configuration's size.")


def header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the words of the header."""
    head = event.header
    assert isinstance(head, xl.XlHeader)
    if head.byte_order != xl.BYTE_ORDER:
        yield Fault(BYTE_ORDER, f"byte order {head.byte_order:#010x}, expected 0x01020304")
    unknown = head.mandatory_flags & ~xl.KNOWN_FLAGS
    if unknown:
        yield Fault(MANDATORY, f"mandatory flags {unknown:#x} are not known: a restore refuses")
    if head.optional_flags:
        yield Fault(OPTIONAL, f"optional flags {head.optional_flags:#x}, none is defined")


def modern(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that a libxc stream is announced: without the flag a legacy one is."""
    head = state.headers.get(XL)
    if isinstance(head, xl.XlHeader) and not head.stream_v2:
        yield Fault(STREAM_V2, "mandatory flag 1 of xl's header is clear: xl takes it for legacy")


def configuration(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the optional data."""
    head = event.header
    assert isinstance(head, xl.XlHeader)
    if event.length > xl.CONFIG_LIMIT:
        yield Fault(SIZE, f"{event.length} bytes of optional data are not looked into")
        return
    config = parse_config(bytes(event.body()))
    if config.wrong is not None and not config.text:
        yield Fault(FITS, config.wrong.message, event.body_offset)
    elif (
        head.json
        and config.text
        and (config.wrong or config.rest or not config.text.strip().startswith("{"))
    ):
        yield Fault(JSON, "the configuration is not JSON, as flag 0 says", event.body_offset + 4)
    elif not config.text or (head.json and not config.values):
        yield Fault(PRESENT, "there is no configuration in it")
    elif not head.json and config.text.lstrip().startswith("{"):
        yield Fault(FLAGGED, "flag 0 is clear, and the configuration is JSON")


# fmt: off
CHECKS = (
    Check(XL, (), header, (BYTE_ORDER, MANDATORY, OPTIONAL), "header"),
    Check(LIBXC, (), modern, (STREAM_V2,), "image header"),
    Check(XL, (), configuration, (SIZE, FITS, JSON, PRESENT, FLAGGED), "header"),
)
# fmt: on
