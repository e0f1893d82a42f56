"""Rules of the records that only PV guests have (xg_sr_restore_x86_pv.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import (
    MSR,
    PAIR,
    PV_INFO,
    PV_LEVELS,
    VCPU_CONTEXT_SIZES,
)
from xensave.findings import ERROR, NOTE
from xensave.rules.stream.model import Fault, StreamRule, refused_by
from xensave.rules.stream.record import first_word
from xensave.rules.stream.state import StreamState

_HANDLE_X86_PV_INFO = refused_by(LIBXC, "handle_x86_pv_info")
_P2M_FRAMES = refused_by(LIBXC, "handle_x86_pv_p2m_frames")
_HANDLE_X86_PV_VCPU_BLOB = refused_by(LIBXC, "handle_x86_pv_vcpu_blob")
INFO_ONCE = StreamRule("LIBXC_PV_INFO_ONCE", ERROR, "X86_PV_INFO comes once.", _HANDLE_X86_PV_INFO)
INFO_LENGTH = StreamRule("LIBXC_PV_INFO_LENGTH", ERROR, "X86_PV_INFO has 8 bytes.")
INFO_SHORT = StreamRule(
    "LIBXC_PV_INFO_COMPLETE", ERROR, "X86_PV_INFO has its 8 bytes at least.", _HANDLE_X86_PV_INFO
)
INFO_VALUES = StreamRule(
    "LIBXC_PV_INFO_COMBINATION",
    ERROR,
    "Width and levels are 4 and 3, or 8 and 4.",
    _HANDLE_X86_PV_INFO,
)
INFO_RESERVED = StreamRule(
    "LIBXC_PV_INFO_RESERVED_ZERO", ERROR, "X86_PV_INFO's reserved field is zero."
)
INFO_FIRST = StreamRule(
    "LIBXC_PV_INFO_FIRST",
    ERROR,
    "X86_PV_INFO comes before what depends on it.",
    refused_by(LIBXC, "handle_x86_pv_p2m_frames or handle_shared_info"),
)
P2M_LENGTH = StreamRule(
    "LIBXC_P2M_FRAMES_LENGTH",
    ERROR,
    "X86_PV_P2M_FRAMES has 8 bytes, and 8 for each frame.",
    _P2M_FRAMES,
)
P2M_ORDER = StreamRule(
    "LIBXC_P2M_FRAMES_RANGE", ERROR, "A P2M's first PFN is not above its last.", _P2M_FRAMES
)
SHARED = StreamRule(
    "LIBXC_SHARED_INFO_LENGTH",
    ERROR,
    "SHARED_INFO is one page.",
    refused_by(LIBXC, "handle_shared_info"),
)
VCPU_LENGTH = StreamRule(
    "LIBXC_VCPU_HEADER_COMPLETE",
    ERROR,
    "A vCPU's record begins with 8 bytes.",
    _HANDLE_X86_PV_VCPU_BLOB,
)
VCPU_RESERVED = StreamRule(
    "LIBXC_VCPU_RESERVED_ZERO", ERROR, "The reserved field of a vCPU's record is zero."
)
VCPU_EMPTY = StreamRule(
    "LIBXC_VCPU_NOT_EMPTY",
    NOTE,
    "A vCPU's record has a content; Xen 4.6 - 4.8 left some empty.",
    refused_by(
        LIBXC,
        "handle_x86_pv_vcpu_blob",
        "f593747666",
        "libxc: really tolerate empty PV records",
        "4.11",
        until=("4.11",),
    ),
)
VCPU_SIZE = StreamRule(
    "LIBXC_VCPU_LENGTH",
    ERROR,
    "A vCPU's content has the size that its hypercall takes.",
    _HANDLE_X86_PV_VCPU_BLOB,
)
VCPU_ORDER = StreamRule("LIBXC_VCPU_AFTER_MEMORY", ERROR, "A vCPU's records come after PAGE_DATA.")

EXTENDED_MAX = 128
XSAVE_MIN = 16


def info(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks X86_PV_INFO."""
    if state.libxc(libxc.X86_PV_INFO):
        yield Fault(INFO_ONCE, "a second one")
    if event.length < PV_INFO.size:
        yield Fault(INFO_SHORT, f"{event.length} bytes, expected {PV_INFO.size}")
        return
    if event.length > PV_INFO.size:
        yield Fault(INFO_LENGTH, f"{event.length} bytes, expected {PV_INFO.size}")
    width, levels, reserved = PV_INFO.unpack(event.prefix(PV_INFO.size))
    if PV_LEVELS.get(8 * width) != levels:
        yield Fault(INFO_VALUES, f"width {width} with {levels} levels, expected 4/3 or 8/4")
    if any(reserved):
        yield Fault(INFO_RESERVED, f"reserved field is {reserved.hex(' ')}", event.body_offset + 2)


def p2m_frames(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks the frames' range against the length."""
    yield from needs_info(event, state)
    if event.length < PAIR.size or event.length % 8:
        yield Fault(P2M_LENGTH, f"{event.length} bytes, expected 8 and a multiple of 8")
        return
    start, end = PAIR.unpack(event.prefix(PAIR.size))
    if start > end:
        yield Fault(P2M_ORDER, f"first PFN {start:#x} is above the last, {end:#x}")
    elif 8 * state.width in PV_LEVELS:
        per_frame = libxc.PAGE_SIZE // state.width
        frames = end // per_frame - start // per_frame + 1
        if event.length != PAIR.size + 8 * frames:
            yield Fault(
                P2M_LENGTH,
                f"{event.length} bytes, expected {PAIR.size + 8 * frames} for PFNs "
                f"{start:#x} - {end:#x}",
            )


def needs_info(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that X86_PV_INFO came before."""
    if not state.libxc(libxc.X86_PV_INFO):
        yield Fault(INFO_FIRST, "no X86_PV_INFO came before it")


def shared_info(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks SHARED_INFO."""
    yield from needs_info(event, state)
    if event.length != libxc.PAGE_SIZE:
        yield Fault(SHARED, f"{event.length} bytes, expected {libxc.PAGE_SIZE}")


def vcpu(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks the front of a vCPU's record, and how long its content is."""
    if not state.libxc(libxc.PAGE_DATA):
        yield Fault(VCPU_ORDER, "no PAGE_DATA came before it")
    vcpu_id = yield from first_word(event, VCPU_LENGTH, VCPU_RESERVED)
    if vcpu_id is None:
        return
    size = event.length - PAIR.size
    if not size:
        yield Fault(VCPU_EMPTY, f"empty for vCPU {vcpu_id}: libxc refuses it before Xen 4.11")
        return
    wanted = _wanted(event.type, size, state.width)
    if wanted:
        yield Fault(VCPU_SIZE, f"vCPU {vcpu_id}: content of {size} bytes, expected {wanted}")


def _wanted(type_: int, size: int, width: int) -> str | None:
    """Returns what a content's size should be, or None where it is so."""
    if type_ == libxc.X86_PV_VCPU_BASIC:
        exact = VCPU_CONTEXT_SIZES.get(8 * width, size)
        return None if size == exact else str(exact)
    if type_ == libxc.X86_PV_VCPU_EXTENDED:
        return None if size <= EXTENDED_MAX else f"at most {EXTENDED_MAX}"
    if type_ == libxc.X86_PV_VCPU_XSAVE:
        return None if size >= XSAVE_MIN else f"at least {XSAVE_MIN}"
    return None if size % MSR.size == 0 else f"a multiple of {MSR.size}"
