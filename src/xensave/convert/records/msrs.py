"""CPU_MSR: the target gets the MSRs that its load handler knows.

hvm_load_cpu_msrs() refuses a record with an MSR of which it does not know (ENXIO); which ones a
release knows is the engine's table.
"""

from __future__ import annotations

from xensave.catalogue.dates import in_force, version
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, NAMED_LOSSES, Change, Loss
from xensave.engine.handlers.msr import MSRS
from xensave.findings import Place
from xensave.records.meaning.msr import msr_name
from xensave.records.msr_list import count_of, entries_of, size_for, with_entries


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
    kept = [entry for entry in entries if entry.msr in known]
    if len(kept) == count:
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
    if not kept:
        return None, change
    return record.with_body(with_entries(record.body, kept)), change
