"""Rules of the static data: STATIC_DATA_END and the CPU policies before it (version 3)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import LEAF, MSR
from xensave.findings import ERROR
from xensave.rules.stream.model import Fault, StreamRule, refused_by
from xensave.rules.stream.state import StreamState

VERSION = StreamRule(
    "LIBXC_STATIC_DATA_VERSION_3", ERROR, "Version 2 has no STATIC_DATA_END and no policies."
)
ONCE = StreamRule(
    "LIBXC_STATIC_DATA_END_ONCE",
    ERROR,
    "STATIC_DATA_END comes once.",
    refused_by(LIBXC, "handle_static_data_end"),
)
FIRST = StreamRule(
    "LIBXC_STATIC_DATA_END_FIRST", ERROR, "STATIC_DATA_END comes before memory and registers."
)
BEFORE_MEMORY = StreamRule(
    "LIBXC_STATIC_DATA_END_BEFORE_MEMORY",
    ERROR,
    "STATIC_DATA_END comes before PAGE_DATA and X86_PV_P2M_FRAMES.",
    refused_by(
        LIBXC,
        "handle_page_data",
        "4f8b684117",
        "libxc/restore: STATIC_DATA_END inference for v2 compatibility",
        "4.14",
        since=("4.14",),
    ),
)
LATE = StreamRule(
    "LIBXC_POLICY_BEFORE_STATIC_DATA_END", ERROR, "Policies come before STATIC_DATA_END."
)
LENGTH = StreamRule(
    "LIBXC_POLICY_LENGTH",
    ERROR,
    "A policy is whole entries: of 24 bytes (CPUID), 16 (MSR).",
    refused_by(LIBXC, "handle_x86_cpuid_policy or handle_x86_msr_policy"),
)
FLAGS = StreamRule("LIBXC_MSR_POLICY_FLAGS_ZERO", ERROR, "The flags of an MSR entry are zero.")

POLICY_LIMIT = 1 << 20
ENTRY_SIZE = {libxc.X86_CPUID_POLICY: LEAF.size, libxc.X86_MSR_POLICY: MSR.size}
POLICIES = tuple(ENTRY_SIZE)
OF_VERSION_3 = (libxc.STATIC_DATA_END, *POLICIES)

CONTENT = (
    libxc.PAGE_DATA,
    libxc.X86_PV_P2M_FRAMES,
    libxc.X86_PV_VCPU_BASIC,
    libxc.X86_PV_VCPU_EXTENDED,
    libxc.X86_PV_VCPU_XSAVE,
    libxc.X86_PV_VCPU_MSRS,
    libxc.SHARED_INFO,
    libxc.X86_TSC_INFO,
    libxc.HVM_CONTEXT,
    libxc.HVM_PARAMS,
)


MEMORY = (libxc.PAGE_DATA, libxc.X86_PV_P2M_FRAMES)


def static_data_end(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the marker belongs here."""
    if state.version == 2:
        yield Fault(VERSION, "in a version 2 stream")
    if state.libxc(libxc.STATIC_DATA_END):
        yield Fault(ONCE, "a second one")


def content(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks, at the first memory or register record, that the marker came before."""
    if state.version == 3 and not state.libxc(libxc.STATIC_DATA_END) and not state.libxc(*CONTENT):
        yield Fault(FIRST, "STATIC_DATA_END is missing before it")


def memory(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the marker came before memory: there the reader looks for it."""
    if state.version == 3 and not state.libxc(libxc.STATIC_DATA_END):
        yield Fault(BEFORE_MEMORY, "STATIC_DATA_END is missing before it")


def policy(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks a policy's place and length."""
    if state.version == 2:
        yield Fault(VERSION, "in a version 2 stream")
    if state.libxc(libxc.STATIC_DATA_END):
        yield Fault(LATE, "after STATIC_DATA_END, where no reader heeds it")
    size = ENTRY_SIZE[event.type]
    if not event.length or event.length % size:
        yield Fault(LENGTH, f"{event.length} bytes, a multiple of {size} above zero expected")
    elif event.type == libxc.X86_MSR_POLICY and event.length <= POLICY_LIMIT:
        yield from _flags(event)


def _flags(event: Event) -> Iterator[Fault]:
    flagged = [n for n, (_, flags, _) in enumerate(MSR.iter_unpack(event.body())) if flags]
    if flagged:
        msr, flags, _ = MSR.unpack_from(event.body(), flagged[0] * MSR.size)
        others = f", and {len(flagged) - 1:,} others have some" if len(flagged) > 1 else ""
        where = event.body_offset + flagged[0] * MSR.size + 4
        yield Fault(FLAGS, f"MSR {msr:#x} has flags {flags:#x}{others}", where)
