"""All of a PV guest's vCPUs before a release, in the order in which libxc and Xen take them."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Cite
from xensave.container.streams.libxc_records import PAIR
from xensave.engine.domain import Domain
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Broken, SubjectT, first_broken
from xensave.engine.pv import basic, extended, frames, msrs, tables, xsave
from xensave.engine.pv.memory import AnyMemory, PvMemory
from xensave.engine.pv.rule import (
    BASIC,
    EXTENDED,
    MSRS,
    XSAVE,
    MemoryRule,
    PvGuest,
    PvRecord,
    PvRule,
)
from xensave.engine.verdict import Layer, Refused
from xensave.policy.value import Policy
from xensave.records.codec import decode
from xensave.records.stream import stream_layout

CONTENTS = "the guest's page tables and descriptor tables are ones that Xen takes"

_RECORDS: tuple[tuple[str, str, tuple[PvRule, ...]], ...] = (
    (BASIC, "basic", basic.RULES),
    (EXTENDED, "extended", extended.RULES),
    (XSAVE, "xsave", xsave.RULES),
    (MSRS, "msrs", msrs.RULES),
)

RULES: tuple[PvRule | MemoryRule, ...] = (
    *basic.RULES,
    *extended.RULES,
    *xsave.RULES,
    *msrs.RULES,
    *frames.RULES,
)
DATED = (*xsave.DATED, *msrs.DATED, tables.TABLE_TYPES)


class PvAnswer(NamedTuple):
    """The first refusal, None where there is none; what hangs on the host or is not known."""

    refusal: Refused | None
    depends: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()


def judge_pv(
    version: Version, guest: PvGuest, policy: Policy, memory: AnyMemory | None = None
) -> PvAnswer:
    """Returns what a release makes of a PV guest's vCPUs, and of the frames that they name.

    `policy` is the domain's CPU policy in the end. Without `memory` the frames are not looked at.
    """
    machine = Machine(version, Domain(vcpus=guest.vcpus), policy)
    depends: list[str] = []
    refusal = (
        _first_vcpu(guest)
        or _of_memory(frames.PAGE_TABLES, memory, machine, depends)
        or _vcpus(guest, machine, memory, depends)
        or _tables(guest, memory)
        or _of_memory(frames.P2M_FRAMES, memory, machine, depends)
    )
    return PvAnswer(refusal, tuple(depends), () if refusal else (CONTENTS,))


def _of_memory(
    rule: MemoryRule, memory: AnyMemory | None, machine: Machine, depends: list[str]
) -> Refused | None:
    """Returns the refusal of a memory, None for none, and where the memory is not known."""
    if memory is None:
        return None
    return _refused(first_broken([rule], memory, machine, rule.record, depends), rule.record)


def _refused(broken: Broken[SubjectT] | None, record: str) -> Refused | None:
    if broken is None:
        return None
    rule, reason = broken
    return Refused(rule.id, reason, rule.layer, rule.errno, record, cite=rule.cite)


def _tables(guest: PvGuest, memory: AnyMemory | None) -> Refused | None:
    """Returns Xen's refusal of the page tables that the vCPUs name, or of those that are pinned."""
    if not isinstance(memory, PvMemory):
        return None
    vcpus = [
        _record(BASIC, number, vcpu.basic, guest, memory)
        for number, vcpu in guest.records.items()
        if vcpu.basic is not None
    ]
    roots = (root for vcpu in vcpus for root in frames.roots_of(vcpu))
    return tables.refusal(memory, roots, {pfn for vcpu in vcpus for pfn in frames.gdt_of(vcpu)})


def _first_vcpu(guest: PvGuest) -> Refused | None:
    """Refuses a guest without vCPU 0's registers."""
    first = guest.records.get(0)
    if first is not None and first.basic is not None:
        return None
    reason = "vCPU 0 has no basic state"
    cite = Cite("update_vcpu_context")
    return Refused("PV_VCPU_0", reason, Layer.LIBXC, record=BASIC, cite=cite)


def _vcpus(
    guest: PvGuest, machine: Machine, memory: AnyMemory | None, depends: list[str]
) -> Refused | None:
    for number, vcpu in guest.records.items():
        for name, field, rules in _RECORDS:
            content: bytes | None = getattr(vcpu, field)
            if content is None:
                continue
            record = _record(name, number, content, guest, memory)
            label = f"{name}[{number}]"
            asked = (
                rule
                for rule in rules
                if rule.holds(machine.version) and rule.bits in (None, guest.bits)
            )
            refusal = _refused(first_broken(asked, record, machine, label, depends), label)
            if refusal is not None:
                return refusal
    return None


def _record(
    name: str, number: int, content: bytes, guest: PvGuest, memory: AnyMemory | None
) -> PvRecord:
    body = PAIR.pack(number, 0) + content
    layout = stream_layout(name, len(body))
    assert layout is not None, name
    # What libxc does not send Xen finds as the toolstack's buffer has it: zero, it is hoped.
    values = decode(layout, body.ljust(layout.size, b"\0"))
    return PvRecord(guest, number, values, content, memory)
