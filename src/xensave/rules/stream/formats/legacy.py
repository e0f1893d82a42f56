"""Rules of legacy streams: what Xen 4.5's xc_domain_restore() and libxl refuse or pass over."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LEGACY, Event
from xensave.container.streams.legacy import LegacyHeader
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy.toolstack import xenstore_data
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.errors import Malformed
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.formats import hvm
from xensave.rules.stream.model import Check, Fault, StreamRule
from xensave.rules.stream.state import StreamState

UNIQUE = StreamRule(
    "LEGACY_BATCH_PFNS_UNIQUE", ERROR, "A batch of a legacy stream has each PFN once."
)
EMPTY = StreamRule(
    "LEGACY_BATCH_NOT_EMPTY", NOTE, "A batch of a legacy stream says something of a page."
)
TYPE = StreamRule(
    "LEGACY_PAGE_TYPE_KNOWN", ERROR, "A legacy page's type is one of XEN_DOMCTL_PFINFO_*."
)
IN_P2M = StreamRule("LEGACY_PFN_IN_P2M", ERROR, "A legacy page's PFN is below the P2M's size.")
PARAM_GUEST = StreamRule(
    "LEGACY_PARAM_FITS_GUEST", ERROR, "Only HVM guests have chunks of HVM params."
)
PARAM_PAD = StreamRule("LEGACY_PARAM_PAD_ZERO", NOTE, "The pad of a legacy HVM param is zero.")
VCPU_IDS = StreamRule(
    "LEGACY_VCPUS_BELOW_MAXIMUM", NOTE, "No vCPU above the largest number is online."
)
VCPUS = StreamRule(
    "LEGACY_VCPU_INFO_PRESENT", ERROR, "A PV guest's legacy stream says who is online."
)
TOOLSTACK = StreamRule(
    "LEGACY_TOOLSTACK_READABLE", ERROR, "A legacy toolstack chunk is libxl's, whole."
)
MODEL = StreamRule("LEGACY_DEVICE_MODEL_QEMU", WARNING, "A legacy device model's state is QEMU's.")
TSC = StreamRule("LEGACY_TSC_INFO_PRESENT", NOTE, "A legacy stream says how the guest's clock ran.")

_QEMU = b"QEVM"


def _header(state: StreamState) -> LegacyHeader:
    header = state.headers[LEGACY]
    assert isinstance(header, LegacyHeader)
    return header


def pages(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks the entries of a batch; contents are not looked at."""
    header = _header(state)
    words = memoryview(event.raw)[4:].cast("Q" if header.width == 8 else "I")
    entries = [entry for entry in words if entry != c.HOLE]
    if not entries:
        yield Fault(EMPTY, f"a batch of {len(words)} holes")
    if len(set(entries)) != len(entries):
        yield Fault(UNIQUE, f"{len(entries) - len(set(entries))} PFNs come twice")
    strange = [entry for entry in entries if entry >> 28 & 0xF not in PAGE_TYPES]
    if strange:
        yield Fault(TYPE, f"type {strange[0] >> 28 & 0xF:#x} of PFN {strange[0] & c.PFN_MASK:#x}")
    beyond = [entry & c.PFN_MASK for entry in entries if _beyond(entry, header)]
    if beyond:
        more = f", and {len(beyond) - 1:,} others" if len(beyond) > 1 else ""
        yield Fault(IN_P2M, f"PFN {beyond[0]:#x} in a P2M of {header.p2m_size:#x} frames{more}")


def _beyond(entry: int, header: LegacyHeader) -> bool:
    """Tells a PFN that a PV guest cannot have; an HVM guest's special pages lie above its P2M."""
    return header.pv and entry & c.PFN_MASK >= header.p2m_size


def param(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the guest has params, and the pad before one."""
    if _header(state).pv:
        yield Fault(PARAM_GUEST, "in a PV guest's stream: no later Xen restores it")
    pad = int.from_bytes(event.raw[4:8], "little")
    if pad:
        yield Fault(PARAM_PAD, f"pad is {pad:#x}", event.offset + 4)


def vcpu_info(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the bits of the map against the number of the last vCPU."""
    last = int.from_bytes(event.raw[4:8], "little", signed=True)
    beyond = int.from_bytes(event.body(), "little") >> max(0, last + 1)
    if beyond:
        yield Fault(VCPU_IDS, f"vCPU {last + beyond.bit_length()} is online, {last} is the last")


def toolstack(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that libxl's converter can read its chunk."""
    header = _header(state)
    try:
        if event.length:
            xenstore_data(event.body(), header.width)
    except Malformed as error:
        yield Fault(TOOLSTACK, error.message, event.body_offset)


def end_of_body(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks what a body must have had."""
    if not state.seen(LEGACY, c.TSC_INFO):
        yield Fault(TSC, "no TSC info: a restore takes the host's clock")
    if _header(state).pv and not state.seen(LEGACY, c.VCPU_INFO):
        yield Fault(VCPUS, "a PV guest without vCPU info: no context would be restored")


def device_model(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks how the state begins."""
    if bytes(event.prefix(len(_QEMU))) != _QEMU:
        yield Fault(MODEL, f"begins with {bytes(event.prefix(4))!r}, not 'QEVM'", event.body_offset)


# fmt: off
CHECKS = (
    Check(LEGACY, (c.PAGES,), pages, (EMPTY, UNIQUE, TYPE, IN_P2M)),
    Check(LEGACY, tuple(c.PARAMS), param, (PARAM_GUEST, PARAM_PAD)),
    Check(LEGACY, (c.VCPU_INFO,), vcpu_info, (VCPU_IDS,)),
    Check(LEGACY, (c.TOOLSTACK,), toolstack, (TOOLSTACK,)),
    Check(LEGACY, (c.END_OF_BODY,), end_of_body, (TSC, VCPUS)),
    Check(LEGACY, (c.HVM_CONTEXT,), hvm.context, (hvm.CONTEXT_EMPTY, *hvm.FRAMING_RULES)),
    Check(LEGACY, (c.DEVICE_MODEL,), device_model, (MODEL,)),
)
# fmt: on
