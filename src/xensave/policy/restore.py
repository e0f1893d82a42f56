"""XEN_DOMCTL_set_cpu_policy as a restore meets it: copy, clear, compare."""

from __future__ import annotations

from collections.abc import Sequence

from xensave.catalogue.dates import Version
from xensave.policy.compatible import cleared, compatible
from xensave.policy.copy import copy_cpuid, copy_msrs, merged
from xensave.policy.host import fitted, most_generous
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.value import CpuidEntry, MsrEntry, Policy

EMPTY = Policy({}, {})


def set_policy(
    leaves: Sequence[CpuidEntry],
    msrs: Sequence[MsrEntry],
    version: Version,
    *,
    default: Policy = EMPTY,
    maximum: Policy | None = None,
) -> PolicyRefusal | Policy:
    """Return what a release makes of the records' entries: a refusal, or the policy they give.

    `default` is the policy that the new domain has before, of which every leaf and MSR stays
    that the records do not name; `maximum` is the host's HVM Max or PV Max policy. Without it
    only that is refused which no host of that release could give. What the returned policy
    asks in vain of the host is not yet taken away: see `xensave.policy.clamp`.

    >>> refusal = set_policy([(0, 0xFFFFFFFF, 0xE, 0, 0, 0)], [], (4, 17, 7))
    >>> refusal.errno, refusal.reason
    ('EINVAL', "its leaves go to 0xe, the host's to 0xd")
    """
    refusal = copy_cpuid(leaves, version) or copy_msrs(msrs, version)
    if refusal is not None:
        return refusal
    policy = cleared(merged(fitted(default, version), leaves, msrs), version)
    if maximum is None:
        vendor = policy.leaf(0)
        host = most_generous(version, vendor[1:])
    else:
        host = fitted(maximum, version)
    return compatible(policy, host, version) or policy
