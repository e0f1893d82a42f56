"""All of a PV guest's vCPUs before a release, in the order in which libxc and Xen take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Cite
from xensave.container.streams.libxc_records import PAIR
from xensave.engine.domain import Domain
from xensave.engine.loop.machine import Machine
from xensave.engine.pv import basic, extended, frames, msrs, tables, xsave
from xensave.engine.pv.memory import PvMemory
from xensave.engine.pv.rule import (
    BASIC,
    EXTENDED,
    MSRS,
    XSAVE,
    MemoryRule,
    PvRecord,
    PvRefusal,
    PvRule,
    apply,
)
from xensave.engine.verdict import Layer
from xensave.image.facts.stream import PvVcpu
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
    """Returns what a release makes of a PV guest's vCPUs, and of the frames that they name.

    `policy` is the domain's CPU policy in the end. Without `memory` the frames are not looked at.
    """
    machine = Machine(version, Domain(vcpus=guest.vcpus), policy)
    depends: list[str] = []
    refusal = (
        _first_vcpu(guest)
        or frames.PAGE_TABLES.refusal(memory)
        or _vcpus(guest, machine, memory, depends)
        or _tables(guest, memory)
        or frames.P2M_FRAMES.refusal(memory)
    )
    return PvAnswer(refusal, tuple(depends), () if refusal else (CONTENTS,))


def _tables(guest: PvGuest, memory: PvMemory | None) -> PvRefusal | None:
    """Returns Xen's refusal of the page tables that the vCPUs name, or of those that are pinned."""
    if memory is None:
        return None
    vcpus = [
        _record(BASIC, number, vcpu.basic, guest, memory)
        for number, vcpu in sorted(guest.records.items())
        if vcpu.basic is not None
    ]
    roots = (root for vcpu in vcpus for root in frames.roots_of(vcpu))
    return tables.refusal(memory, roots, {pfn for vcpu in vcpus for pfn in frames.gdt_of(vcpu)})


def _first_vcpu(guest: PvGuest) -> PvRefusal | None:
    """Refuses a guest without vCPU 0's registers."""
    first = guest.records.get(0)
    if first is not None and first.basic is not None:
        return None
    reason = "vCPU 0 has no basic state"
    return PvRefusal(Layer.LIBXC, BASIC, "", "PV_VCPU_0", reason, Cite("update_vcpu_context"))


def _vcpus(
    guest: PvGuest, machine: Machine, memory: PvMemory | None, depends: list[str]
) -> PvRefusal | None:
    for number, vcpu in sorted(guest.records.items()):
        for name, field, rules in _RECORDS:
            content: bytes | None = getattr(vcpu, field)
            if content is None:
                continue
            record = _record(name, number, content, guest, memory)
            refusal = apply(rules, record, machine, depends)
            if refusal is not None:
                return refusal
    return None


def _record(
    name: str, number: int, content: bytes, guest: PvGuest, memory: PvMemory | None
) -> PvRecord:
    body = PAIR.pack(number, 0) + content
    layout = stream_layout(name, len(body))
    assert layout is not None, name
    # What libxc does not send Xen finds as the toolstack's buffer has it: zero, it is hoped.
    values = decode(layout, body.ljust(layout.size, b"\0"))
    return PvRecord(
        number,
        values,
        content,
        guest.bits,
        vcpus=guest.vcpus,
        host=guest.host,
        memory=memory,
    )
