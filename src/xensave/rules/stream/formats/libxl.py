"""Rules of libxl streams (docs/specs/libxl-migration-stream.pandoc, libxl_stream_read.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXL, Event
from xensave.container.streams import libxl
from xensave.container.streams.libxc_records import PAIR
from xensave.findings import ERROR, WARNING
from xensave.rules.stream.formats import emulator, release
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.record import unknown_type, without_body, zero_padding
from xensave.rules.stream.state import StreamState

_PROCESS_RECORD = refused_by(LIBXL, "process_record")
OPTIONS = StreamRule("LIBXL_OPTIONS_RESERVED_ZERO", ERROR, "Bits 2 - 31 of the options are clear.")
MANDATORY = StreamRule(
    "LIBXL_RECORD_MANDATORY_KNOWN",
    ERROR,
    "libxl's mandatory records have a known type.",
    _PROCESS_RECORD,
)
UNKNOWN_OPTIONAL = StreamRule(
    "LIBXL_RECORD_OPTIONAL_KNOWN",
    WARNING,
    "libxl refuses optional records of other types as well.",
    _PROCESS_RECORD,
)
PADDING = StreamRule("LIBXL_PADDING_ZERO", ERROR, "The bytes that pad a libxl record are zero.")
EMPTY = StreamRule(
    "LIBXL_MARKER_EMPTY", ERROR, "END, LIBXC_CONTEXT and CHECKPOINT_END have no body."
)
ONCE = StreamRule(
    "LIBXL_LIBXC_CONTEXT_ONCE", ERROR, "A libxc stream comes once, outside checkpoints."
)
PRESENT = StreamRule("LIBXL_LIBXC_CONTEXT_PRESENT", WARNING, "A libxc stream comes before END.")
END_OUTSIDE = StreamRule(
    "LIBXL_END_OUTSIDE_CHECKPOINT", ERROR, "END does not cut a checkpoint short."
)
CHECKPOINT_END = StreamRule(
    "LIBXL_CHECKPOINT_END_EXPECTED",
    ERROR,
    "CHECKPOINT_END ends what a CHECKPOINT began.",
    _PROCESS_RECORD,
)
STATE_EXPECTED = StreamRule(
    "LIBXL_CHECKPOINT_STATE_EXPECTED",
    ERROR,
    "CHECKPOINT_STATE stands between two checkpoints.",
    _PROCESS_RECORD,
)
STATE_LENGTH = StreamRule(
    "LIBXL_CHECKPOINT_STATE_LENGTH", ERROR, "CHECKPOINT_STATE has 4 or 8 bytes."
)
STATE_KNOWN = StreamRule("LIBXL_CHECKPOINT_STATE_KNOWN", ERROR, "A control id is one of 0 - 3.")
STATE_PADDING = StreamRule(
    "LIBXL_CHECKPOINT_STATE_PADDING_ZERO", ERROR, "The padding of a control id is zero."
)


def header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the stream's header; the walk itself needs its magic, version and byte order."""
    assert isinstance(event.header, libxl.LibxlHeader)
    unknown = event.header.options & ~libxl.KNOWN_OPTIONS
    if unknown:
        yield Fault(OPTIONS, f"reserved option bits {unknown:#x} are set")


def record(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks what every record shares: a known type and zero padding."""
    refused = ": libxl refuses it"
    yield from unknown_type(event, libxl.RECORDS, UNKNOWN_OPTIONAL, MANDATORY, refused)
    if event.pad_length:
        yield from zero_padding(event, PADDING)


def marker(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks that a record that only marks a place has no body."""
    yield from without_body(event, EMPTY)


def context(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks where LIBXC_CONTEXT stands."""
    if state.checkpoint:
        yield Fault(ONCE, "a libxc stream begins inside a checkpoint")
    elif state.seen(LIBXL, libxl.LIBXC_CONTEXT):
        yield Fault(ONCE, "a second libxc stream")


def end(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks what must have come before END."""
    if state.checkpoint:
        yield Fault(END_OUTSIDE, "END before the CHECKPOINT_END that is due")
    if not state.seen(LIBXL, libxl.LIBXC_CONTEXT):
        yield Fault(PRESENT, "END without a libxc stream before it: there is no guest in it")


def checkpoint_end(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that a checkpoint is open."""
    if not state.checkpoint:
        yield Fault(CHECKPOINT_END, "no CHECKPOINT came before it")


def checkpoint_state(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks COLO's control record."""
    if not state.control:
        yield Fault(STATE_EXPECTED, "no checkpoint has just ended")
    if event.length not in (4, 8):
        yield Fault(STATE_LENGTH, f"{event.length} bytes, expected 4 (8 with its padding)")
        return
    control, padding = PAIR.unpack(bytes(event.body()).ljust(8, b"\0"))
    if control not in libxl.CHECKPOINT_STATES:
        yield Fault(STATE_KNOWN, f"control id {control:#x}, expected 0 - 3")
    if padding:
        yield Fault(STATE_PADDING, f"padding is {padding:#x}", event.body_offset + 4)


_MARKERS = (libxl.END, libxl.LIBXC_CONTEXT, libxl.CHECKPOINT_END)
_EMULATOR = (libxl.EMULATOR_XENSTORE_DATA, libxl.EMULATOR_CONTEXT)

# fmt: off
CHECKS = (
    Check(LIBXL, (), header, (OPTIONS,), "header"),
    Check(LIBXL, _MARKERS, marker, (EMPTY,)),
    Check(LIBXL, (libxl.LIBXC_CONTEXT,), context, (ONCE,)),
    Check(LIBXL, (libxl.END,), end, (END_OUTSIDE, PRESENT)),
    Check(LIBXL, (libxl.END,), emulator.end, (emulator.PRESENT,)),
    Check(LIBXL, release.LIBXL_TYPES, release.record, (release.LIBXL_RECORD,)),
    Check(LIBXL, _EMULATOR, emulator.header, (emulator.HVM_ONLY, emulator.HEADER, emulator.KNOWN)),
    Check(LIBXL, (libxl.EMULATOR_CONTEXT,), emulator.state, (emulator.QEMU,)),
    Check(LIBXL, (libxl.EMULATOR_XENSTORE_DATA,), emulator.xenstore,
          (emulator.SIZE, emulator.TERMINATED, emulator.PAIRED, emulator.RELATIVE, emulator.KEYS)),
    Check(LIBXL, (libxl.CHECKPOINT_END,), checkpoint_end, (CHECKPOINT_END,)),
    Check(LIBXL, (libxl.CHECKPOINT_STATE,), checkpoint_state,
          (STATE_EXPECTED, STATE_LENGTH, STATE_KNOWN, STATE_PADDING)),
    Check(LIBXL, None, record, (MANDATORY, UNKNOWN_OPTIONAL, PADDING)),
)
# fmt: on
