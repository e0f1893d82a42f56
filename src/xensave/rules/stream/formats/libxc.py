"""Rules of every libxc record and of the two headers (docs/specs/libxc-migration-stream.pandoc)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.formats import hvm, release
from xensave.rules.stream.libxc import pages, pv, static_data
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.record import unknown_type, without_body, zero_padding
from xensave.rules.stream.state import StreamState

LENGTH_MAX = 128 << 20
OLD_LENGTH_MAX = 8 << 20
"""libxc refuses longer records (REC_LENGTH_MAX, xg_sr_stream_format.h)."""

SHIFT_MASK = 0x1F
"""What counts of a page shift: a processor shifts a word of 32 bits by so many."""

_PROCESS_RECORD = refused_by(LIBXC, "process_record")
OPTIONS = StreamRule("LIBXC_OPTIONS_RESERVED_ZERO", ERROR, "Bits 1 - 15 of the options are clear.")
IMAGE_RESERVED = StreamRule(
    "LIBXC_IMAGE_RESERVED_ZERO", ERROR, "The image header's reserved is zero."
)
DOMAIN_TYPE = StreamRule(
    "LIBXC_DOMAIN_TYPE_KNOWN", ERROR, "The domain is x86 PV (1) or x86 HVM (2)."
)
DOMAIN_RESERVED = StreamRule(
    "LIBXC_DOMAIN_RESERVED_ZERO", ERROR, "The domain header's reserved is zero."
)
PAGE_SHIFT = StreamRule("LIBXC_PAGE_SHIFT_12", ERROR, "A page of an x86 guest has 2^12 bytes.")
MANDATORY = StreamRule(
    "LIBXC_RECORD_MANDATORY_KNOWN", ERROR, "Mandatory records have a known type.", _PROCESS_RECORD
)
UNKNOWN_OPTIONAL = StreamRule(
    "LIBXC_RECORD_OPTIONAL_KNOWN", NOTE, "Optional records of other types are passed over by libxc."
)
TOO_LONG = StreamRule(
    "LIBXC_RECORD_LENGTH_BOUNDED",
    ERROR,
    "A record has at most 128 MiB.",
    refused_by(LIBXC, "read_record"),
)
LONG_FOR_OLD = StreamRule(
    "LIBXC_RECORD_LENGTH_8_MIB",
    NOTE,
    "A record has at most 8 MiB, which libxc took before Xen 4.10.",
    refused_by(
        LIBXC,
        "read_record",
        "e48e33e219",
        "libxc: increase maximum migration stream record length",
        "4.10",
        until=("4.10",),
    ),
)
PAGE_SIZE = StreamRule(
    "LIBXC_PAGE_SIZE_4096",
    ERROR,
    "The page shift, of which five bits count, makes 4096 bytes.",
    refused_by(LIBXC, "x86_hvm_setup or x86_pv_setup"),
)
CHECKPOINTED = StreamRule(
    "LIBXC_CHECKPOINT_ABSENT",
    NOTE,
    "A stream in a file has no CHECKPOINT: a plain restore refuses it.",
    refused_by(LIBXC, "handle_checkpoint"),
)
PADDING = StreamRule("LIBXC_PADDING_ZERO", ERROR, "The bytes that pad a record are zero.")
GUEST = StreamRule(
    "LIBXC_RECORD_FITS_GUEST",
    ERROR,
    "PV guests have no HVM records, and the reverse.",
    _PROCESS_RECORD,
)
EMPTY = StreamRule(
    "LIBXC_MARKER_EMPTY", ERROR, "END, VERIFY, CHECKPOINT and STATIC_DATA_END have no body."
)
DEPRECATED = StreamRule(
    "LIBXC_TOOLSTACK_ABSENT", ERROR, "TOOLSTACK is deprecated; no reader takes it.", _PROCESS_RECORD
)
DIRECTION = StreamRule(
    "LIBXC_DIRTY_PFN_LIST_BACKWARD",
    ERROR,
    "CHECKPOINT_DIRTY_PFN_LIST goes from secondary to primary only.",
    _PROCESS_RECORD,
)
DIRTY_LENGTH = StreamRule(
    "LIBXC_DIRTY_PFN_LIST_LENGTH", ERROR, "CHECKPOINT_DIRTY_PFN_LIST is 8-byte PFNs."
)
NO_CONTEXT = StreamRule(
    "LIBXC_GUEST_STATE_PRESENT",
    WARNING,
    "A restore needs HVM_CONTEXT, or vCPU 0's X86_PV_VCPU_BASIC.",
)

PV_RECORDS = frozenset(
    {
        libxc.X86_PV_INFO,
        libxc.X86_PV_P2M_FRAMES,
        libxc.X86_PV_VCPU_BASIC,
        libxc.X86_PV_VCPU_EXTENDED,
        libxc.X86_PV_VCPU_XSAVE,
        libxc.X86_PV_VCPU_MSRS,
        libxc.SHARED_INFO,
    }
)
HVM_RECORDS = frozenset({libxc.HVM_CONTEXT, libxc.HVM_PARAMS})
FOREIGN = {libxc.PV: HVM_RECORDS, libxc.HVM: PV_RECORDS}


def image_header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the image header; the walk itself needs its marker, version and byte order."""
    head = event.header
    assert isinstance(head, libxc.ImageHeader)
    if head.options & ~libxc.OPTION_BIG_ENDIAN:
        yield Fault(OPTIONS, f"reserved option bits {head.options & ~1:#x} are set")
    if any(head.reserved):
        yield Fault(
            IMAGE_RESERVED, f"reserved fields are {head.reserved[0]:#x}, {head.reserved[1]:#x}"
        )


def domain_header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the domain header."""
    head = event.header
    assert isinstance(head, libxc.DomainHeader)
    if head.type not in libxc.DOMAIN_TYPES:
        yield Fault(DOMAIN_TYPE, f"domain type {head.type:#x}, expected 1 or 2")
    if head.page_shift != libxc.PAGE_SHIFT:
        yield Fault(PAGE_SHIFT, f"page shift {head.page_shift}, expected {libxc.PAGE_SHIFT}")
        if head.page_shift & SHIFT_MASK != libxc.PAGE_SHIFT:
            size = 1 << (head.page_shift & SHIFT_MASK)
            yield Fault(PAGE_SIZE, f"page shift {head.page_shift} makes pages of {size} bytes")
    if head.reserved:
        yield Fault(DOMAIN_RESERVED, f"reserved field is {head.reserved:#x}")


def record(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks what every record shares: type, length, padding, and that this guest has it."""
    skipped = "; a restore skips it"
    yield from unknown_type(event, libxc.RECORDS, UNKNOWN_OPTIONAL, MANDATORY, skipped)
    if event.type in FOREIGN.get(state.guest, ()):
        assert state.domain is not None
        yield Fault(GUEST, f"in the stream of an {state.domain.type_name} guest")
    if event.length > LENGTH_MAX:
        yield Fault(TOO_LONG, f"{event.length} bytes, libxc takes {LENGTH_MAX} at most")
    elif event.length > OLD_LENGTH_MAX:
        yield Fault(LONG_FOR_OLD, f"{event.length} bytes, before 4.10 {OLD_LENGTH_MAX} at most")
    if event.pad_length:
        yield from zero_padding(event, PADDING)


def marker(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks that a record that only marks a place has no body."""
    yield from without_body(event, EMPTY)


def checkpoint(_: Event, __: StreamState) -> Iterator[Fault]:
    """Tells of a checkpoint: Remus and COLO send them, xl restore takes none."""
    yield Fault(CHECKPOINTED, "a checkpoint: only a live restore takes one")


def toolstack(_: Event, __: StreamState) -> Iterator[Fault]:
    """Refuses the record of libxc's development."""
    yield Fault(DEPRECATED, "a deprecated record: a restore fails")


def dirty_pfn_list(event: Event, _: StreamState) -> Iterator[Fault]:
    """Refuses the record of the back channel in a stream that goes forward."""
    yield Fault(DIRECTION, "belongs to COLO's back channel")
    if event.length % 8:
        yield Fault(DIRTY_LENGTH, f"{event.length} bytes, a multiple of 8 expected")


def end(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the stream held a guest's state."""
    if state.guest == libxc.HVM and not state.libxc(libxc.HVM_CONTEXT):
        yield Fault(NO_CONTEXT, "END without HVM_CONTEXT before it: a restore would fail")
    elif state.guest == libxc.PV and not state.vcpu0:
        yield Fault(NO_CONTEXT, "END without vCPU 0's X86_PV_VCPU_BASIC: a restore would fail")


_VCPU = (
    libxc.X86_PV_VCPU_BASIC,
    libxc.X86_PV_VCPU_EXTENDED,
    libxc.X86_PV_VCPU_XSAVE,
    libxc.X86_PV_VCPU_MSRS,
)
_MARKERS = (libxc.END, libxc.VERIFY, libxc.CHECKPOINT, libxc.STATIC_DATA_END)

# fmt: off
CHECKS = (
    Check(LIBXC, (), image_header, (OPTIONS, IMAGE_RESERVED), "image header"),
    Check(LIBXC, (), domain_header,
          (DOMAIN_TYPE, PAGE_SHIFT, PAGE_SIZE, DOMAIN_RESERVED), "domain header"),
    Check(LIBXC, (), release.domain_header, (release.CONFIGURED, release.VERSION),
          "domain header"),
    Check(LIBXC, release.LIBXC_TYPES, release.record, (release.LIBXC_RECORD,)),
    Check(LIBXC, static_data.CONTENT, static_data.content, (static_data.FIRST,)),
    Check(LIBXC, (libxc.STATIC_DATA_END,), static_data.static_data_end,
          (static_data.VERSION, static_data.ONCE)),
    Check(LIBXC, static_data.POLICIES, static_data.policy,
          (static_data.VERSION, static_data.LATE, static_data.LENGTH, static_data.FLAGS)),
    Check(LIBXC, (libxc.PAGE_DATA,), pages.page_data,
          (pages.ORDER, pages.SHORT, pages.RESERVED, pages.COUNT, pages.FIT, pages.BATCH,
           pages.PFN_RESERVED, pages.TYPE, pages.LENGTH, pages.RANGE)),
    Check(LIBXC, (libxc.X86_PV_INFO,), pv.info,
          (pv.INFO_ONCE, pv.INFO_SHORT, pv.INFO_LENGTH, pv.INFO_VALUES, pv.INFO_RESERVED)),
    Check(LIBXC, (libxc.X86_PV_P2M_FRAMES,), pv.p2m_frames,
          (pv.INFO_FIRST, pv.P2M_LENGTH, pv.P2M_ORDER)),
    Check(LIBXC, (libxc.SHARED_INFO,), pv.shared_info, (pv.INFO_FIRST, pv.SHARED)),
    Check(LIBXC, _VCPU, pv.vcpu,
          (pv.VCPU_ORDER, pv.VCPU_LENGTH, pv.VCPU_RESERVED, pv.VCPU_EMPTY, pv.VCPU_SIZE)),
    Check(LIBXC, (libxc.X86_TSC_INFO,), hvm.tsc_info,
          (hvm.TSC_LENGTH, hvm.TSC_RESERVED, hvm.TSC_MODE)),
    Check(LIBXC, (libxc.HVM_PARAMS,), hvm.params,
          (hvm.PARAMS_FIRST, hvm.PARAMS_LENGTH, hvm.PARAMS_SURPLUS, hvm.PARAMS_RESERVED,
           hvm.PARAMS_EMPTY)),
    Check(LIBXC, (libxc.HVM_CONTEXT,), hvm.context, (hvm.CONTEXT_EMPTY, *hvm.FRAMING_RULES)),
    Check(LIBXC, static_data.MEMORY, static_data.memory, (static_data.BEFORE_MEMORY,)),
    Check(LIBXC, (libxc.CHECKPOINT,), checkpoint, (CHECKPOINTED,)),
    Check(LIBXC, (libxc.TOOLSTACK,), toolstack, (DEPRECATED,)),
    Check(LIBXC, (libxc.CHECKPOINT_DIRTY_PFN_LIST,), dirty_pfn_list,
          (DIRECTION, DIRTY_LENGTH)),
    Check(LIBXC, _MARKERS, marker, (EMPTY,)),
    Check(LIBXC, (libxc.END,), end, (NO_CONTEXT,)),
    Check(LIBXC, None, record,
          (MANDATORY, UNKNOWN_OPTIONAL, GUEST, TOO_LONG, LONG_FOR_OLD, PADDING)),
)
# fmt: on
