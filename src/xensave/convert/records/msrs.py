"""MSRs of vCPUs: the target gets those that it sets, under the CPU policy that the guest has there.

hvm_load_cpu_msrs() refuses a CPU_MSR record for one MSR that it does not know, or that the policy
does not give (ENXIO); XEN_DOMCTL_set_vcpu_msrs does so to a PV vCPU. Which those are is the
engine's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Generic, NamedTuple, TypeVar

from xensave.catalogue.dates import version
from xensave.container.streams.libxc_records import (
    MSR,
    PAIR,
    MsrEntry,
    pack_msr_policy,
    policy_msrs,
)
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, REPAIR, Loss, PlannedChange, place_of
from xensave.convert.records import losses
from xensave.engine.domain import Domain
from xensave.engine.handlers.msr import spec_ctrl_bits, write
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Refusal, Undecided
from xensave.findings import Place
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.msr_list import SavedMsr, count_of, entries_of, size_for, with_entries

SPEC_CTRL = 0x48


EntryT = TypeVar("EntryT")
Machines = tuple[Machine, ...]
"""A release under each of the CPU policies that a guest may have there."""


def machines_of(release: str, policies: Sequence[Policy]) -> Machines:
    """Returns what MSRs are set by on a release."""
    return tuple(Machine(version(release), Domain(), policy) for policy in policies)


def clamp_spec_ctrl(
    record: ContextRecord, releases: Sequence[Machines]
) -> tuple[ContextRecord, tuple[PlannedChange, ...]]:
    """Clears the bits of SPEC_CTRL that the guest's policy does not give it on the target.

    A guest that ran under a wider policy may have set them; the load refuses the record (ENXIO).
    """
    if not _whole(record):
        return record, ()
    valid = -1
    for machines in releases:
        bits = [spec_ctrl_bits(machine.policy, machine.version) for machine in machines]
        masks = [each for each in bits if each is not None]
        if not masks:
            return record, ()
        valid &= reduce(or_, masks)
    entries = entries_of(record.body)
    wrong = [entry.value for entry in entries if entry.msr == SPEC_CTRL and entry.value & ~valid]
    if not wrong:
        return record, ()
    clamped = [
        entry._replace(value=entry.value & valid) if entry.msr == SPEC_CTRL else entry
        for entry in entries
    ]
    change = PlannedChange(
        place_of(record),
        REPAIR,
        f"SPEC_CTRL {wrong[0]:#x} to {wrong[0] & valid:#x}",
        f"the guest's CPU policy gives it the bits {valid:#x} only",
        (Loss("SPEC_CTRL", hex(wrong[0] & ~valid)),),
        1,
        accepted=True,
    )
    return record.with_body(with_entries(record.body, clamped)), (change,)


def fit_msrs(
    record: ContextRecord,
    releases: Sequence[Machines],
    target: str,
    xsave: ContextRecord | None = None,
) -> tuple[ContextRecord | None, tuple[PlannedChange, ...]]:
    """Leaves out the MSRs that a release refuses whatever the policy.

    None for a record of no other.

    `xsave` is the vCPU's CPU_XSAVE record before it, None where there is none. A record whose
    length is not what its count says is left as it is.
    """
    if not _whole(record):
        return record, ()
    for machine in (machine for machines in releases for machine in machines):
        machine.reset()
        if xsave is not None and xsave.layout is not None:
            machine.set_xcr0_accum(record.instance, xsave.integer("xcr0_accum"))

    def refused(entry: SavedMsr, machine: Machine) -> str:
        return _refused(entry, record.instance, machine)

    entries = entries_of(record.body)
    fitted = _fitted(entries, releases, refused)
    if not fitted.why:
        return record, ()
    lost = [Loss(msr_name(entry.msr), hex(entry.value)) for entry in fitted.gone if entry.value]
    what = f"{len(fitted.gone)} of {len(entries)} MSRs of {record.label}"
    change = _dropped(place_of(record), what, lost, target, fitted.why)
    if not fitted.staying:
        return None, (change,)
    return record.with_body(with_entries(record.body, fitted.staying)), (change,)


def fit_pv_msrs(
    body: bytes, releases: Sequence[Machines], target: str, where: Place
) -> tuple[bytes, tuple[PlannedChange, ...]]:
    """Returns X86_PV_VCPU_MSRS without the MSRs that a PV vCPU is refused on the target.

    XEN_DOMCTL_set_vcpu_msrs refuses the record for any of them. One that is not whole, or not
    longer than its head, is left to the verdict.
    """
    if len(body) <= PAIR.size or (len(body) - PAIR.size) % MSR.size:
        return body, ()
    # The rules of PV guests, which other guests do without.
    from xensave.engine.pv.msrs import SET_AT_ALL, refused_msr

    entries = policy_msrs(body[PAIR.size :])
    vcpu = PAIR.unpack_from(body)[0]

    def refused(entry: MsrEntry, machine: Machine) -> str:
        return refused_msr(*entry, vcpu, machine) or ""

    setting = [machines for machines in releases if SET_AT_ALL.holds(machines[0].version)]
    fitted = _fitted(entries, setting, refused)
    if not fitted.why:
        return body, ()
    lost = [Loss(f"MSR {entry.msr:#x}", hex(entry.value)) for entry in fitted.gone if entry.value]
    what = f"{len(fitted.gone)} of {len(entries)} MSRs of vCPU {vcpu}"
    change = _dropped(where, what, lost, target, fitted.why)
    return body[: PAIR.size] + pack_msr_policy(fitted.staying), (change,)


class _Fitted(NamedTuple, Generic[EntryT]):
    """The MSRs that a target takes, those that it refuses, and why it does so: "" for none."""

    staying: list[EntryT]
    gone: list[EntryT]
    why: str


def _fitted(
    entries: Sequence[EntryT],
    releases: Sequence[Machines],
    refused: Callable[[EntryT, Machine], str],
) -> _Fitted[EntryT]:
    """Parts MSRs into those that stay and those that some release refuses under every policy."""
    wrong: dict[int, str] = {}
    for machines in releases:
        for at, entry in enumerate(entries):
            if at in wrong:
                continue
            reasons = [refused(entry, machine) for machine in machines]
            if all(reasons):
                wrong[at] = reasons[0]
    return _Fitted(
        [entry for at, entry in enumerate(entries) if at not in wrong],
        [entries[at] for at in sorted(wrong)],
        wrong[min(wrong)] if wrong else "",
    )


def _whole(record: ContextRecord) -> bool:
    count = count_of(record.body)
    return count > 0 and record.length == size_for(count)


def _refused(entry: SavedMsr, vcpu: int, machine: Machine) -> str:
    """Returns why a release does not load an MSR; "" where it does, or only the host can tell."""
    try:
        write(entry.msr, entry.value, vcpu, machine)
    except Refusal as refusal:
        return refusal.reason
    except Undecided:
        pass
    return ""


def _dropped(where: Place, what: str, lost: list[Loss], target: str, reason: str) -> PlannedChange:
    reason = f"Xen {target} refuses the record for them: {reason}"
    return PlannedChange(where, DROP, what, reason, *losses.of(lost))
