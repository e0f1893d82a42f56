"""CPU_MSR: the target gets the MSRs that its load handler knows.

hvm_load_cpu_msrs() refuses a record with an MSR of which it does not know (ENXIO); which ones a
release knows is the engine's table.
"""

from __future__ import annotations

from xensave.catalogue.dates import Version, in_force, version
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, NAMED_LOSSES, REPAIR, Change, Loss
from xensave.engine.handlers.msr import MSRS, spec_ctrl_bits
from xensave.findings import Place
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.msr_list import count_of, entries_of, size_for, with_entries

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


def known_msrs(target: str) -> frozenset[int]:
    """Return the MSRs that a release's load handler takes, on some CPU.

    >>> sorted(map(hex, known_msrs("4.6")))[:2]
    ['0xc0011019', '0xc001101a']
    """
    at = version(target)
    return frozenset(msr.number for msr in MSRS if in_force(msr.since, msr.until, at))


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
