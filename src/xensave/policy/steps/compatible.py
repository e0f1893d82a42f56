"""Comparing a policy with the most that a host can give: x86_cpu_policies_are_compatible().

Features never refuse here: only the numbers of leaves, the bits of PLATFORM_INFO and, from 4.22
on, the vendor. Leaves beyond the policy's own maxima are cleared before.
"""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version, in_force
from xensave.catalogue.model import Cite
from xensave.policy.limits import BASIC_MAX, EXTENDED, limits_of
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.value import PLATFORM_INFO, Policy
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF

_FUNCTION = "x86_cpu_policies_are_compatible"
_CITE = Cite(_FUNCTION, "588a966a57", "libx86: Introduce x86_cpu_policies_are_compatible()", "4.13")
SUBLEAVES_COMPARED = Dated(
    "POLICY_HOST_SUBLEAVES",
    "X86_CPUID_POLICY",
    "Leaf 7 may not have more subleaves than on the host.",
    Cite(
        _FUNCTION,
        "e6e85b662b",
        "x86/CPUID: also check leaf 7 max subleaf to be compatible",
        "4.15",
    ),
    since=("4.15.0",),
)
VENDORS_COMPARED = Dated(
    "POLICY_HOST_VENDOR",
    "X86_CPUID_POLICY",
    "The vendor must be the host's.",
    Cite(
        _FUNCTION,
        "c520286a53",
        "x86: Reject CPU policies with vendors other than the host's",
        "4.22",
    ),
    since=("4.22.0",),
)

DIFFERENCES = (SUBLEAVES_COMPARED, VENDORS_COMPARED)

_WORD = 0xFFFFFFFF


def cleared(policy: Policy, version: Version) -> Policy:
    """Returns a policy without the leaves that its own maxima leave out.

    This is x86_cpu_policy_clear_out_of_range_leaves(), 32-bit sums included: a basic maximum of
    0xffffffff clears every basic leaf, itself among them.
    """
    limits = limits_of(version)
    first = policy.leaf(0)[0]
    basic = 0 if first == _WORD else first
    ends = {4: _typed(policy, 4, limits.subleaves[4]), 0xB: _typed(policy, 0xB, 1)}
    ends[7] = (policy.leaf(7)[0] + 1) & _WORD
    ends[0xD] = _states_end(policy)
    extended = (policy.leaf(EXTENDED)[0] & 0xFFFF) + 1

    def stays(leaf: int, subleaf: int) -> bool:
        if leaf >= EXTENDED:
            return leaf - EXTENDED < extended
        if leaf in ends:
            return basic >= leaf and subleaf < ends[leaf]
        return leaf > BASIC_MAX or leaf < (first + 1) & _WORD

    return Policy(
        {key: value for key, value in policy.leaves.items() if stays(*key)}, dict(policy.msrs)
    )


class _Maximum(NamedTuple):
    """A leaf whose EAX says where leaves end, and the rule that it says no more than a host's."""

    leaf: int
    subleaf: int
    rule: str
    what: str
    cite: Cite
    since: tuple[str, ...] = ()


_MAXIMA = (
    _Maximum(0, NO_SUBLEAF, "POLICY_HOST_LEAVES", "leaves go", _CITE),
    _Maximum(
        7,
        0,
        SUBLEAVES_COMPARED.id,
        "leaf 7 has subleaves",
        SUBLEAVES_COMPARED.cite,
        SUBLEAVES_COMPARED.since,
    ),
    _Maximum(EXTENDED, NO_SUBLEAF, "POLICY_HOST_EXTENDED", "extended leaves go", _CITE),
)


def compatible(policy: Policy, host: Policy, version: Version) -> PolicyRefusal | None:
    """Returns why a policy is more than a host's maximum, None where it is not."""
    if VENDORS_COMPARED.holds(version) and policy.leaf(0)[1:] != host.leaf(0)[1:]:
        reason = "the policy's vendor is not the host's"
        cite = VENDORS_COMPARED.cite
        return PolicyRefusal("EINVAL", VENDORS_COMPARED.id, reason, cite, 0, NO_SUBLEAF)
    for row in _MAXIMA:
        ours, most = policy.leaf(row.leaf)[0], host.leaf(row.leaf)[0]
        if in_force(row.since, (), version) and ours > most:
            reason = f"its {row.what} to {ours:#x}, the host's to {most:#x}"
            return PolicyRefusal("EINVAL", row.rule, reason, row.cite, row.leaf, row.subleaf)
    more = policy.msrs.get(PLATFORM_INFO, 0) & ~host.msrs.get(PLATFORM_INFO, 0)
    if more:
        reason = f"MSR {PLATFORM_INFO:#x} has bits {more:#x}, which the host cannot give"
        return PolicyRefusal("EINVAL", "POLICY_HOST_MSR", reason, _CITE, msr=PLATFORM_INFO)
    return None


def _typed(policy: Policy, leaf: int, last: int) -> int:
    """Returns the first subleaf of type 0: a in leaf 4, c in leaf 0xb has the type."""
    for subleaf in range(last + 1):
        registers = policy.leaf(leaf, subleaf)
        type_ = registers[0] & 0x1F if leaf == 4 else registers[2] >> 8 & 0xFF
        if not type_:
            return subleaf
    return last + 1


def _states_end(policy: Policy) -> int:
    """Returns one more than the last subleaf of leaf 0xd, 0 where no state is enumerated."""
    low, supervisor = (policy.leaf(0xD, index) for index in (0, 1))
    states = low[0] | supervisor[2] | (low[3] | supervisor[3]) << 32
    return max(2, states.bit_length()) if states else 0
