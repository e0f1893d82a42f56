"""Copying the records' entries into a policy, as x86_cpuid_copy_from_buffer() and its twin do.

They check, in their order, the number of entries, and then each entry by itself; nothing is
compared with a host yet. Order and repetition are no faults, the last entry of a leaf counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Cite
from xensave.policy.limits import BASIC_MAX, XEN_LEAVES, Limits, limits_of
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.value import CpuidEntry, MsrEntry, Policy
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF

_CPUID = Cite(
    "x86_cpuid_copy_from_buffer",
    "f48363c9ca",
    "libx86: Introduce a helper to deserialise cpuid_policy objects",
    "4.13",
)
_MSR = Cite("x86_msr_copy_from_buffer")


def copy_cpuid(entries: Sequence[CpuidEntry], version: Version) -> PolicyRefusal | None:
    """Returns why a release does not copy these leaves, None where it does.

    >>> refusal = copy_cpuid([(0x8000001D, NO_SUBLEAF, 0, 0, 0, 0)], (4, 15, 0))
    >>> refusal.errno, hex(refusal.leaf)
    ('ERANGE', '0x8000001d')
    """
    limits = limits_of(version)
    if len(entries) > limits.entries:
        reason = f"{len(entries)} CPUID leaves, at most {limits.entries} are taken"
        return PolicyRefusal("E2BIG", "POLICY_LEAVES", reason, _CPUID)
    for leaf, subleaf, *_ in entries:
        wrong = _outside(leaf, subleaf, limits)
        if wrong:
            return PolicyRefusal("ERANGE", "POLICY_LEAF_RANGE", wrong, _CPUID, leaf, subleaf)
    return None


def copy_msrs(entries: Sequence[MsrEntry], version: Version) -> PolicyRefusal | None:
    """Returns why a release does not copy these MSRs, None where it does.

    >>> copy_msrs([(0x10A, 0, 0)], (4, 14, 0)).errno
    'ERANGE'
    """
    limits = limits_of(version)
    if len(entries) > len(limits.msrs):
        reason = f"{len(entries)} MSRs, at most {len(limits.msrs)} are taken"
        return PolicyRefusal("E2BIG", "POLICY_MSRS", reason, _MSR)
    for index, flags, value in entries:
        if flags:
            reason = f"MSR {index:#x} has flags {flags:#x}, none are known"
            return PolicyRefusal("EINVAL", "POLICY_MSR_FLAGS", reason, _MSR, msr=index)
        width = limits.msrs.get(index)
        if width is None:
            known = " and ".join(f"{msr:#x}" for msr in limits.msrs)
            reason = f"MSR {index:#x} is not one that is known ({known})"
            return PolicyRefusal("ERANGE", "POLICY_MSR_RANGE", reason, _MSR, msr=index)
        if value >> width:
            reason = f"MSR {index:#x} has {width} bits, its value is {value:#x}"
            return PolicyRefusal("EOVERFLOW", "POLICY_MSR_WIDTH", reason, _MSR, msr=index)
    return None


def merged(
    base: Policy, leaves: Iterable[CpuidEntry], msrs: Iterable[MsrEntry], source: str = ""
) -> Policy:
    """Returns a policy with these entries copied over it: what they lack stays as it was.

    Of Xen's own leaves only the register that says how many there are is kept.
    """
    table = dict(base.leaves)
    for leaf, subleaf, a, b, c, d in leaves:
        key = leaf, 0 if subleaf == NO_SUBLEAF else subleaf
        table[key] = (a, 0, 0, 0) if leaf in XEN_LEAVES else (a, b, c, d)
    return Policy(table, {**base.msrs, **{index: value for index, _, value in msrs}}, source)


def _outside(leaf: int, subleaf: int, limits: Limits) -> str:
    """Returns in what way a leaf lies outside the arrays, "" where it does not."""
    last = limits.subleaves.get(leaf)
    if last is not None:
        beyond = f"leaf {leaf:#x} has no subleaf {subleaf:#x}, they end at {last}"
        return beyond if subleaf > last else ""
    if limits.has(leaf) or leaf in XEN_LEAVES:
        return f"leaf {leaf:#x} has no subleaves" if subleaf != NO_SUBLEAF else ""
    return f"there is no room for leaf {leaf:#x}: they end at {BASIC_MAX:#x}, {limits.extended:#x}"
