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
from xensave.convert.plan import CONVERT, DROP, NAMED_LOSSES, Change, Loss
from xensave.findings import Place
from xensave.policy.limits import BASIC_MAX, EXTENDED, XEN_LEAVES, Limits, limits_of

_NO_SUBLEAF = 0xFFFFFFFF


def fit_policy(
    type_: int, body: bytes, target: Version, where: Place
) -> tuple[bytes, tuple[Change, ...]]:
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
) -> tuple[bytes, tuple[Change, ...]]:
    capped = [_capped(leaf, limits) for leaf in leaves if _has_room(leaf, limits)]
    gone = [leaf for leaf in leaves if not _has_room(leaf, limits)]
    changes = []
    if gone:
        lost = [Loss(_named(leaf), _shown(leaf)) for leaf in gone if any(leaf[2:])]
        what = f"{len(gone)} of {len(leaves)} CPUID leaves"
        changes.append(_dropped(where, what, lost))
    changes += [
        Change(
            where,
            CONVERT,
            f"{_named(old)}: maximum {old.a:#x} to {new.a:#x}",
            "the target's own leaves end there",
        )
        for old, new in zip(
            (leaf for leaf in leaves if _has_room(leaf, limits)), capped, strict=True
        )
        if old != new
    ]
    return pack_cpuid_policy(capped), tuple(changes)


def _has_room(leaf: CpuidLeaf, limits: Limits) -> bool:
    """Whether the target's arrays have a place for a leaf."""
    last = limits.subleaves.get(leaf.leaf)
    if last is not None:
        return leaf.subleaf <= last
    known = leaf.leaf <= BASIC_MAX or leaf.leaf in XEN_LEAVES
    return known or EXTENDED <= leaf.leaf <= limits.extended


def _capped(leaf: CpuidLeaf, limits: Limits) -> CpuidLeaf:
    """Returns a leaf whose maximum, where it states one, is the target's at most."""
    most = {
        (0, _NO_SUBLEAF): BASIC_MAX,
        (7, 0): limits.feature_subleaf,
        (EXTENDED, _NO_SUBLEAF): limits.extended,
    }.get((leaf.leaf, leaf.subleaf))
    return leaf if most is None or leaf.a <= most else leaf._replace(a=most)


def _msrs(
    msrs: tuple[MsrEntry, ...], limits: Limits, where: Place
) -> tuple[bytes, tuple[Change, ...]]:
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


def _dropped(where: Place, what: str, lost: list[Loss]) -> Change:
    reason = "XEN_DOMCTL_set_cpu_policy of the target refuses what it has no room for"
    return Change(where, DROP, what, reason, tuple(lost[:NAMED_LOSSES]), len(lost))


def _named(leaf: CpuidLeaf) -> str:
    subleaf = "" if leaf.subleaf == _NO_SUBLEAF else f":{leaf.subleaf:#x}"
    return f"CPUID {leaf.leaf:#x}{subleaf}"


def _shown(leaf: CpuidLeaf) -> str:
    return ":".join(f"{word:08x}" for word in leaf[2:])
