"""Rules of TSC_INFO, HVM_PARAMS and the framing of the HVM context."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import CONTEXT, HVM, LIBXC, Event
from xensave.container.streams import hvm, libxc
from xensave.container.streams.libxc_records import PAIR, PARAM, TSC_INFO, TSC_MODES
from xensave.errors import Truncated
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.record import first_word
from xensave.rules.stream.state import CONTEXT_LIMIT, StreamState

TSC_LENGTH = StreamRule(
    "LIBXC_TSC_INFO_LENGTH",
    ERROR,
    "X86_TSC_INFO has 24 bytes.",
    refused_by(LIBXC, "handle_x86_tsc_info"),
)
TSC_RESERVED = StreamRule(
    "LIBXC_TSC_INFO_RESERVED_ZERO", ERROR, "X86_TSC_INFO's reserved field is zero."
)
TSC_MODE = StreamRule("LIBXC_TSC_INFO_MODE_KNOWN", WARNING, "The TSC mode is one of 0 - 3.")
PARAMS_LENGTH = StreamRule(
    "LIBXC_HVM_PARAMS_LENGTH",
    ERROR,
    "HVM_PARAMS has 8 bytes, and 16 for each.",
    refused_by(LIBXC, "handle_hvm_params"),
)
PARAMS_SURPLUS = StreamRule(
    "LIBXC_HVM_PARAMS_ENDS",
    ERROR,
    "Nothing follows the params in HVM_PARAMS.",
    refused_by(
        LIBXC,
        "handle_hvm_params",
        "119ee4d773",
        "tools/libxc: Tolerate specific zero-content records in migration v2 streams",
        "4.9",
        since=("4.6.6", "4.7.3", "4.8.2", "4.9.0"),
    ),
)
PARAMS_RESERVED = StreamRule(
    "LIBXC_HVM_PARAMS_RESERVED_ZERO", ERROR, "HVM_PARAMS' reserved field is zero."
)
PARAMS_EMPTY = StreamRule(
    "LIBXC_HVM_PARAMS_NOT_EMPTY", NOTE, "HVM_PARAMS has params; Xen 4.6 - 4.8 left none."
)
PARAMS_FIRST = StreamRule(
    "LIBXC_HVM_PARAMS_BEFORE_CONTEXT", NOTE, "HVM_PARAMS precedes HVM_CONTEXT; Xen writes it after."
)
CONTEXT_EMPTY = StreamRule(
    "LIBXC_HVM_CONTEXT_NOT_EMPTY",
    ERROR,
    "HVM_CONTEXT has a content.",
    refused_by(
        LIBXC,
        "handle_hvm_context",
        "59e1f6d897",
        "libxc/restore: Introduce functionality to simplify blob handling",
        "4.14",
        since=("4.14",),
    ),
)
CONTEXT_SIZE = StreamRule("HVM_CONTEXT_BOUNDED", NOTE, "A context is of a size to be looked into.")
HEADER = StreamRule(
    "HVM_HEADER_FIRST", ERROR, "A context begins with HEADER, typecode 1, instance 0."
)
MAGIC = StreamRule("HVM_HEADER_MAGIC", ERROR, "HEADER's magic is 0x54381286.")
VERSION = StreamRule("HVM_HEADER_VERSION_1", ERROR, "HEADER's version is 1.")
FRAMING = StreamRule(
    "HVM_RECORDS_COMPLETE", ERROR, "Every record lies within the context, up to END."
)
END_EMPTY = StreamRule("HVM_END_EMPTY", ERROR, "END has no body.")
END_LAST = StreamRule("HVM_END_LAST", WARNING, "Nothing follows END.")


def tsc_info(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks X86_TSC_INFO."""
    if event.length != TSC_INFO.size:
        yield Fault(TSC_LENGTH, f"{event.length} bytes, expected {TSC_INFO.size}")
        return
    mode, _khz, _nsec, _incarnation, reserved = TSC_INFO.unpack(event.body())
    if reserved:
        yield Fault(TSC_RESERVED, f"reserved field is {reserved:#x}", event.body_offset + 20)
    if mode not in TSC_MODES:
        yield Fault(TSC_MODE, f"mode {mode}, expected 0 - 3")


def params(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks HVM_PARAMS' count against its length."""
    if state.libxc(libxc.HVM_CONTEXT):
        yield Fault(PARAMS_FIRST, "after HVM_CONTEXT, as Xen itself writes it")
    count = yield from first_word(event, PARAMS_LENGTH, PARAMS_RESERVED)
    if count is None:
        return
    wanted = PAIR.size + PARAM.size * count
    if event.length != wanted:
        rule = PARAMS_LENGTH if event.length < wanted else PARAMS_SURPLUS
        yield Fault(rule, f"{event.length} bytes, expected {wanted} for {count} params")
    elif not count:
        yield Fault(PARAMS_EMPTY, "no params; a reader tolerates it")


def context(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the framing of a context: HEADER, whole records, END."""
    if not event.length:
        yield Fault(CONTEXT_EMPTY, "no bytes")
    elif event.length > CONTEXT_LIMIT:
        yield Fault(CONTEXT_SIZE, f"{event.length} bytes are not looked into")
    else:
        yield from _framing(event.body(), event.body_offset)


def _framing(data: bytes | memoryview, base: int) -> Iterator[Fault]:
    entry = None
    try:
        for entry in hvm.iterate(data):
            if entry.offset == 0:
                yield from _header(entry, base)
    except Truncated as error:
        yield Fault(FRAMING, error.message, base + (error.offset or 0))
        return
    assert entry is not None
    end = entry.offset + hvm.DESCRIPTOR.size + len(entry.body)
    if entry.body:
        yield Fault(END_EMPTY, f"END has {len(entry.body)} bytes", base + entry.offset)
    if end < len(data):
        yield Fault(END_LAST, f"{len(data) - end} bytes follow END", base + end)


def _header(entry: hvm.Entry, base: int) -> Iterator[Fault]:
    if (entry.typecode, entry.instance) != (hvm.HEADER_TYPECODE, 0):
        yield Fault(HEADER, f"begins with {entry.label}, expected typecode 1[0]", base)
        return
    magic = int.from_bytes(entry.body[:4], "little")
    version = int.from_bytes(entry.body[4:8], "little")
    if magic != hvm.HEADER_MAGIC:
        yield Fault(MAGIC, f"magic {magic:#x}, expected {hvm.HEADER_MAGIC:#x}", base + 8)
    if version != hvm.HEADER_VERSION:
        yield Fault(VERSION, f"version {version}, expected {hvm.HEADER_VERSION}", base + 12)


FRAMING_RULES = (CONTEXT_SIZE, HEADER, MAGIC, VERSION, FRAMING, END_EMPTY, END_LAST)

# fmt: off
CHECKS = (
    Check(HVM, (), context, FRAMING_RULES, CONTEXT),
)
# fmt: on
