"""X86_CPUID_POLICY and X86_MSR_POLICY: the target gets the entries that it has room for."""

from __future__ import annotations

from xensave.catalogue.dates import Version
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import (
    LEAF,
    MSR,
    CpuidLeaf,
    MsrEntry,
    pack_cpuid_policy,
    pack_msr_policy,
    policy_leaves,
    policy_msrs,
)
from xensave.convert.plan import CONVERT, DROP, Loss, PlannedChange
from xensave.convert.records import losses
from xensave.findings import Place
from xensave.policy.limits import XEN_LEAVES, Limits, limits_of
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF


def fit_policy(
    type_: int, body: bytes, target: Version, where: Place
) -> tuple[bytes, tuple[PlannedChange, ...]]:
    """Returns a policy record's new body, and what was changed: () where nothing was.

    XEN_DOMCTL_set_cpu_policy refuses a leaf or MSR outside its arrays (ERANGE), and a maximum
    leaf beyond the host's (EINVAL). A record that is not whole is left to the verdict.
    """
    limits = limits_of(target)
    if type_ == libxc.X86_CPUID_POLICY and not len(body) % LEAF.size:
        return _leaves(policy_leaves(body), limits, where)
    if type_ == libxc.X86_MSR_POLICY and not len(body) % MSR.size:
        return _msrs(policy_msrs(body), limits, where)
    return body, ()


def _leaves(
    leaves: tuple[CpuidLeaf, ...], limits: Limits, where: Place
) -> tuple[bytes, tuple[PlannedChange, ...]]:
    room = [leaf for leaf in leaves if _has_room(leaf, limits)]
    gone = [leaf for leaf in leaves if not _has_room(leaf, limits)]
    capped = [_capped(leaf, limits) for leaf in room]
    changes = []
    if gone:
        lost = [Loss(_named(leaf), _shown(leaf)) for leaf in gone if any(leaf[2:])]
        changes.append(_dropped(where, f"{len(gone)} of {len(leaves)} CPUID leaves", lost))
    for old, new in zip(room, capped, strict=True):
        if old != new:
            what = f"{_named(old)}: maximum {old.a:#x} to {new.a:#x}"
            changes.append(PlannedChange(where, CONVERT, what, "the target's own leaves end there"))
    return pack_cpuid_policy(capped), tuple(changes)


def _has_room(leaf: CpuidLeaf, limits: Limits) -> bool:
    """Whether the target's arrays have a place for a leaf."""
    last = limits.subleaves.get(leaf.leaf)
    if last is not None:
        return leaf.subleaf <= last
    return limits.has(leaf.leaf) or leaf.leaf in XEN_LEAVES


def _capped(leaf: CpuidLeaf, limits: Limits) -> CpuidLeaf:
    """Returns a leaf whose maximum, where it states one, is the target's at most."""
    first = 0 if leaf.leaf == 7 else NO_SUBLEAF
    most = limits.maxima.get(leaf.leaf) if leaf.subleaf == first else None
    return leaf if most is None or leaf.a <= most else leaf._replace(a=most)


def _msrs(
    msrs: tuple[MsrEntry, ...], limits: Limits, where: Place
) -> tuple[bytes, tuple[PlannedChange, ...]]:
    entries: list[MsrEntry] = []
    lost: list[Loss] = []
    gone = 0
    for flagged in msrs:
        entry = flagged._replace(flags=0)
        if flagged.flags:
            gone += 1
            lost.append(Loss(f"MSR {entry.msr:#x} flags", hex(flagged.flags)))
        bits = limits.msrs.get(entry.msr, 0)
        if not bits:
            gone += 1
            lost += [Loss(f"MSR {entry.msr:#x}", hex(entry.value))] if entry.value else []
        elif entry.value >> bits:
            gone += 1
            lost.append(Loss(f"MSR {entry.msr:#x}", hex(entry.value >> bits << bits)))
            entries.append(entry._replace(value=entry.value & ((1 << bits) - 1)))
        else:
            entries.append(entry)
    changes = (_dropped(where, f"{gone} of {len(msrs)} MSRs", lost),) if gone else ()
    return pack_msr_policy(entries), changes


def _dropped(where: Place, what: str, lost: list[Loss]) -> PlannedChange:
    reason = "XEN_DOMCTL_set_cpu_policy of the target refuses what it has no room for"
    return PlannedChange(where, DROP, what, reason, *losses.of(lost))


def _named(leaf: CpuidLeaf) -> str:
    subleaf = "" if leaf.subleaf == NO_SUBLEAF else f":{leaf.subleaf:#x}"
    return f"CPUID {leaf.leaf:#x}{subleaf}"


def _shown(leaf: CpuidLeaf) -> str:
    return ":".join(f"{word:08x}" for word in leaf[2:])
