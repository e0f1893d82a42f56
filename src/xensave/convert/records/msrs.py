"""MSRs of vCPUs: the target gets those that it sets, under the CPU policy that the guest has there.

hvm_load_cpu_msrs() refuses a CPU_MSR record for one MSR that it does not know, or that the policy
does not give (ENXIO); XEN_DOMCTL_set_vcpu_msrs does so to a PV vCPU. Which those are is the
engine's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from xensave.catalogue.dates import version
from xensave.container.streams.libxc_records import MSR, PAIR
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, NAMED_LOSSES, REPAIR, Change, Loss
from xensave.engine.domain import Domain
from xensave.engine.handlers.msr import spec_ctrl_bits, write
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Refusal, Undecided
from xensave.engine.pv.msrs import SET_AT_ALL, refused_msr
from xensave.findings import Place
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.msr_list import SavedMsr, count_of, entries_of, size_for, with_entries

SPEC_CTRL = 0x48


Machines = tuple[Machine, ...]
"""A release under each of the CPU policies that a guest may have there."""


def machines_of(release: str, policies: Sequence[Policy]) -> Machines:
    """Returns what MSRs are set by on a release."""
    return tuple(Machine(version(release), Domain(), policy) for policy in policies)


def clamp_spec_ctrl(
    record: ContextRecord, releases: Sequence[Machines]
) -> tuple[ContextRecord, Change | None]:
    """Clears the bits of SPEC_CTRL that the guest's policy does not give it on the target.

    A guest that ran under a wider policy may have set them; the load refuses the record (ENXIO).
    """
    if not _whole(record):
        return record, None
    valid = -1
    for machines in releases:
        bits = [spec_ctrl_bits(machine.policy, machine.version) for machine in machines]
        masks = [each for each in bits if each is not None]
        if not masks:
            return record, None
        valid &= reduce(or_, masks)
    entries = entries_of(record.body)
    wrong = [entry.value for entry in entries if entry.msr == SPEC_CTRL and entry.value & ~valid]
    if not wrong:
        return record, None
    clamped = [
        entry._replace(value=entry.value & valid) if entry.msr == SPEC_CTRL else entry
        for entry in entries
    ]
    change = Change(
        Place(offset=record.offset, record=record.label),
        REPAIR,
        f"SPEC_CTRL {wrong[0]:#x} to {wrong[0] & valid:#x}",
        f"the guest's CPU policy gives it the bits {valid:#x} only",
        (Loss("SPEC_CTRL", hex(wrong[0] & ~valid)),),
        1,
        accepted=True,
    )
    return record.with_body(with_entries(record.body, clamped)), change


def fit_msrs(
    record: ContextRecord,
    releases: Sequence[Machines],
    target: str,
    xsave: ContextRecord | None = None,
) -> tuple[ContextRecord | None, Change | None]:
    """Leaves out the MSRs that a release refuses whatever the policy.

    None for a record of no other.

    `xsave` is the vCPU's CPU_XSAVE record before it, None where there is none. A record whose
    length is not what its count says is left as it is.
    """
    if not _whole(record):
        return record, None
    entries = entries_of(record.body)
    wrong: dict[int, str] = {}
    for machines in releases:
        for machine in machines:
            machine.reset()
            if xsave is not None and xsave.layout is not None:
                machine.set_xcr0_accum(record.instance, xsave.integer("xcr0_accum"))
        for at, entry in enumerate(entries):
            reasons = [_refused(entry, record.instance, machine) for machine in machines]
            if all(reasons):
                wrong.setdefault(at, reasons[0])
    if not wrong:
        return record, None
    gone = [entries[at] for at in sorted(wrong)]
    what = f"{len(gone)} of {len(entries)} MSRs of {record.label}"
    place = Place(offset=record.offset, record=record.label)
    lost = [Loss(msr_name(entry.msr), hex(entry.value)) for entry in gone if entry.value]
    change = _dropped(place, what, lost, target, wrong[min(wrong)])
    staying = [entry for at, entry in enumerate(entries) if at not in wrong]
    if not staying:
        return None, change
    return record.with_body(with_entries(record.body, staying)), change


def fit_pv_msrs(
    body: bytes, releases: Sequence[Machines], target: str, where: Place
) -> tuple[bytes, Change | None]:
    """Returns X86_PV_VCPU_MSRS without the MSRs that a PV vCPU is refused on the target.

    XEN_DOMCTL_set_vcpu_msrs refuses the record for any of them. One that is not whole, or not
    longer than its head, is left to the verdict.
    """
    entries = body[PAIR.size :]
    if not entries or len(entries) % MSR.size:
        return body, None
    vcpu = PAIR.unpack_from(body)[0]
    wrong: dict[int, str] = {}
    for machines in releases:
        if not SET_AT_ALL.holds(machines[0].version):
            continue
        for index, flags, value in MSR.iter_unpack(entries):
            reasons = [refused_msr(index, flags, value, vcpu, machine) for machine in machines]
            if all(reasons):
                wrong.setdefault(index, str(reasons[0]))
    if not wrong:
        return body, None
    gone = [entry for entry in MSR.iter_unpack(entries) if entry[0] in wrong]
    staying = [entry for entry in MSR.iter_unpack(entries) if entry[0] not in wrong]
    lost = [Loss(f"MSR {index:#x}", hex(value)) for index, _, value in gone if value]
    what = f"{len(gone)} of {len(gone) + len(staying)} MSRs of vCPU {vcpu}"
    change = _dropped(where, what, lost, target, next(iter(wrong.values())))
    return body[: PAIR.size] + b"".join(MSR.pack(*entry) for entry in staying), change


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
        return ""
    return ""


def _dropped(where: Place, what: str, lost: list[Loss], target: str, reason: str) -> Change:
    reason = f"Xen {target} refuses the record for them: {reason}"
    return Change(where, DROP, what, reason, tuple(lost[:NAMED_LOSSES]), len(lost))
