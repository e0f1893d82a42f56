"""All of a PV guest's vCPUs before a release, in the order in which libxc and Xen take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Cite
from xensave.container.libxc_records import MSR, PAIR
from xensave.engine.domain import Domain
from xensave.engine.loop.machine import Machine
from xensave.engine.pv import basic, extended, msrs, xsave
from xensave.engine.pv.frames import (
    PvMemory,
    frame_of_p2m,
    frames_of,
    page_tables,
    start_info,
    table_types,
)
from xensave.engine.pv.rule import (
    BASIC,
    EXTENDED,
    LIBXC,
    MSRS,
    XEN,
    XSAVE,
    PvRecord,
    PvRefusal,
    PvRule,
    apply,
)
from xensave.image.guest import PvVcpu
from xensave.policy.value import Policy
from xensave.records.codec import decode
from xensave.records.stream import stream_layout

CONTENTS = "the guest's page tables and descriptor tables are ones that Xen takes"

_BASIC_SIZES = {64: 5168, 32: 2800}
_EXTENDED_MOST = 128
_RECORDS: tuple[tuple[str, str, tuple[PvRule, ...]], ...] = (
    (BASIC, "basic", basic.RULES),
    (EXTENDED, "extended", extended.RULES),
    (XSAVE, "xsave", xsave.RULES),
    (MSRS, "msrs", msrs.RULES),
)

RULES: tuple[PvRule, ...] = (*basic.RULES, *extended.RULES, *xsave.RULES, *msrs.RULES)
DATED = (*xsave.DATED, *msrs.DATED)


class PvGuest(NamedTuple):
    """A PV guest's vCPUs: its width in bits, how many the domain has, and their records.

    `host` is the host's own policy, None where it is not known.
    """

    bits: int
    vcpus: int
    records: Mapping[int, PvVcpu]
    host: Policy | None = None


class PvAnswer(NamedTuple):
    """The first refusal, None where there is none; what hangs on the host or is not known."""

    refusal: PvRefusal | None
    depends: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()


def judge_pv(
    version: Version, guest: PvGuest, policy: Policy, memory: PvMemory | None = None
) -> PvAnswer:
    """Return what a release makes of a PV guest's vCPUs, and of the frames that they name.

    `policy` is the domain's CPU policy in the end. Without `memory` the frames are not looked at.
    """
    machine = Machine(version, Domain(vcpus=guest.vcpus), policy)
    depends: list[str] = []
    refusal = (
        _numbers(guest)
        or _page_tables(memory)
        or _vcpus(guest, machine, memory, depends)
        or _table_types(memory)
        or _p2m(memory)
    )
    return PvAnswer(refusal, tuple(depends), () if refusal else (CONTENTS,))


def _numbers(guest: PvGuest) -> PvRefusal | None:
    """Refuse records of vCPUs that the domain does not have, and a domain without vCPU 0."""
    for number in guest.records:
        if number >= guest.vcpus:
            reason = f"vCPU {number} of a domain with {guest.vcpus}"
            cite = Cite("handle_x86_pv_vcpu_blob")
            return PvRefusal(LIBXC, f"{BASIC}[{number}]", "", "PV_VCPU_NUMBER", reason, cite)
    first = guest.records.get(0)
    if first is None or first.basic is None:
        reason = "vCPU 0 has no basic state"
        return PvRefusal(LIBXC, BASIC, "", "PV_VCPU_0", reason, Cite("update_vcpu_context"))
    return None


def _vcpus(
    guest: PvGuest, machine: Machine, memory: PvMemory | None, depends: list[str]
) -> PvRefusal | None:
    for number, vcpu in sorted(guest.records.items()):
        for name, field, rules in _RECORDS:
            content: bytes | None = getattr(vcpu, field)
            if content is None:
                continue
            wanted = _wrong_size(name, len(content), guest.bits)
            if wanted:
                reason = f"{len(content)} bytes, expected {wanted}"
                cite = Cite("handle_x86_pv_vcpu_blob")
                return PvRefusal(LIBXC, f"{name}[{number}]", "", "PV_RECORD_SIZE", reason, cite)
            record = _record(name, number, content, guest)
            refusal = None
            if name == BASIC and memory is not None:
                refusal = _frames(record, memory)
            refusal = refusal or apply(rules, record, machine, depends)
            if refusal is not None:
                return refusal
    return None


def _wrong_size(name: str, size: int, bits: int) -> str:
    """Return what size a content should have that has another, "" where it may be so."""
    if name == BASIC:
        return "" if size == _BASIC_SIZES[bits] else str(_BASIC_SIZES[bits])
    if name == EXTENDED:
        return "" if size <= _EXTENDED_MOST else f"at most {_EXTENDED_MOST}"
    return f"a multiple of {MSR.size}" if name == MSRS and size % MSR.size else ""


def _record(name: str, number: int, content: bytes, guest: PvGuest) -> PvRecord:
    body = PAIR.pack(number, 0) + content
    layout = stream_layout(name, len(body))
    assert layout is not None, name
    # What libxc does not send Xen finds as the toolstack's buffer has it: zero, it is hoped.
    values = decode(layout, body.ljust(layout.size, b"\0"))
    return PvRecord(number, values, content, guest.bits, guest.vcpus, guest.host)


def _frames(record: PvRecord, memory: PvMemory) -> PvRefusal | None:
    """Refuse frames in a basic record that are not there, or not of their type."""
    wrong = start_info(record, memory) if record.vcpu == 0 else None
    wrong = wrong or frames_of(record, memory)
    if wrong is None:
        return None
    cite = Cite("process_vcpu_basic")
    return PvRefusal(LIBXC, f"{BASIC}[{record.vcpu}]", "", "PV_FRAMES", wrong, cite)


def _page_tables(memory: PvMemory | None) -> PvRefusal | None:
    return _of_memory(memory, page_tables, "PAGE_DATA", "PV_PAGE_TABLES", "x86_pv_localise_page")


def _table_types(memory: PvMemory | None) -> PvRefusal | None:
    """Refuse tables that Xen does not validate, as a vCPU's context or a pin has it do."""
    wrong = table_types(memory) if memory is not None else None
    if wrong is None:
        return None
    cite = Cite("get_page_from_l1e or alloc_l2_table")
    return PvRefusal(XEN, "PAGE_DATA", "EINVAL", "PV_TABLE_TYPES", wrong, cite)


def _p2m(memory: PvMemory | None) -> PvRefusal | None:
    return _of_memory(
        memory, frame_of_p2m, "X86_PV_P2M_FRAMES", "PV_P2M_FRAMES", "update_guest_p2m"
    )


def _of_memory(
    memory: PvMemory | None,
    test: Callable[[PvMemory], str | None],
    record: str,
    rule: str,
    function: str,
) -> PvRefusal | None:
    wrong = test(memory) if memory is not None else None
    return None if wrong is None else PvRefusal(LIBXC, record, "", rule, wrong, Cite(function))
