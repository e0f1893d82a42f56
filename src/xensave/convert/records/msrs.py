"""CPU_MSR: the target gets the MSRs that its load handler knows.

hvm_load_cpu_msrs() refuses a record with an MSR of which it does not know (ENXIO); which ones a
release knows is the engine's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from xensave.catalogue.dates import Version, in_force, version
from xensave.catalogue.points import asked_for
from xensave.container.streams.libxc_records import MSR, PAIR, pack_msr_policy, policy_msrs
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, NAMED_LOSSES, REPAIR, Change, Loss
from xensave.engine.domain import Domain
from xensave.engine.handlers.msr import MSRS, spec_ctrl_bits
from xensave.engine.loop.machine import Machine
from xensave.engine.pv.msrs import SET_AT_ALL, refused_msr
from xensave.findings import Place
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.msr_list import count_of, entries_of, size_for, with_entries
from xensave.toolstack.rule import Target

SPEC_CTRL = 0x48


def clamp_spec_ctrl(
    record: ContextRecord, policy: Policy, target: Version
) -> tuple[ContextRecord, Change | None]:
    """Clear the bits of SPEC_CTRL that the guest's policy does not give it on the target.

    A guest that ran under a wider policy may have set them; the load refuses the record (ENXIO).
    """
    count = count_of(record.body)
    valid = spec_ctrl_bits(policy, target)
    if not count or record.length != size_for(count) or valid is None:
        return record, None
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


def fit_pv_msrs(
    body: bytes, policies: Sequence[tuple[Target, Policy]], where: Place
) -> tuple[bytes, Change | None]:
    """Return X86_PV_VCPU_MSRS without the MSRs that a PV vCPU is refused on the target.

    XEN_DOMCTL_set_vcpu_msrs refuses the record for any of them. One that is not whole, or not
    longer than its head, is left to the verdict.
    """
    entries = policy_msrs(body[PAIR.size :])
    if not entries or len(body) != PAIR.size + MSR.size * len(entries):
        return body, None
    vcpu = PAIR.unpack_from(body)[0]
    wrong: dict[int, str] = {}
    for target, policy in policies:
        machine = Machine(target.version, Domain(vcpus=vcpu + 1), policy)
        if not SET_AT_ALL.holds(target.version):
            continue
        for index, flags, value in entries:
            why = refused_msr(index, flags, value, vcpu, machine)
            if why is not None:
                wrong.setdefault(index, why)
    if not wrong:
        return body, None
    gone = [entry for entry in entries if entry.msr in wrong]
    staying = [entry for entry in entries if entry.msr not in wrong]
    lost = [Loss(f"MSR {index:#x}", hex(value)) for index, _, value in gone if value]
    reason = f"Xen {policies[0][0].name} refuses them: {next(iter(wrong.values()))}"
    what = f"{len(gone)} of {len(entries)} MSRs of vCPU {vcpu}"
    change = Change(where, DROP, what, reason, tuple(lost[:NAMED_LOSSES]), len(lost))
    return body[: PAIR.size] + pack_msr_policy(staying), change


@cache
def known_msrs(target: str) -> frozenset[int]:
    """Return the MSRs that the load handler of every point release takes, on some CPU.

    >>> sorted(map(hex, known_msrs("4.6")))[:2]
    ['0xc0011019', '0xc001101a']
    """
    points = [version(point) for point in asked_for(target)]
    return frozenset(
        number
        for number in {msr.number for msr in MSRS}
        if all(
            any(msr.number == number and in_force(msr.since, msr.until, at) for msr in MSRS)
            for at in points
        )
    )


def fit_msrs(record: ContextRecord, target: str) -> tuple[ContextRecord | None, Change | None]:
    """Leave out what the target does not know; None for a record that then holds no MSR.

    A record whose length is not what its count says is left as it is.
    """
    count = count_of(record.body)
    if not count or record.length != size_for(count):
        return record, None
    known = known_msrs(target)
    entries = entries_of(record.body)
    taken = [entry for entry in entries if entry.msr in known]
    if len(taken) == count:
        return record, None
    gone = [entry for entry in entries if entry.msr not in known]
    lost = [Loss(msr_name(index), hex(value)) for index, _, value in gone if value]
    change = Change(
        Place(offset=record.offset, record=record.label),
        DROP,
        f"{len(gone)} of {count} MSRs of {record.label}",
        f"Xen {target} refuses a record with an MSR that it does not know",
        tuple(lost[:NAMED_LOSSES]),
        len(lost),
    )
    if not taken:
        return None, change
    return record.with_body(with_entries(record.body, taken)), change
