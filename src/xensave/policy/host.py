"""The most that a host can give a guest, as a policy: what a guest's own is compared with."""

from __future__ import annotations

from xensave.catalogue.dates import Version
from xensave.policy.limits import BASIC_MAX, EXTENDED, limits_of
from xensave.policy.value import CPUID_FAULTING, PLATFORM_INFO, Policy


def fitted(host: Policy, version: Version) -> Policy:
    """Return a host's policy as a release has it: what it has no room for left out.

    The three maxima are cut to the release's arrays, as Xen cuts those of its own host policy.
    """
    limits = limits_of(version)
    leaves = {
        (leaf, subleaf): registers
        for (leaf, subleaf), registers in host.leaves.items()
        if subleaf <= limits.subleaves.get(leaf, 0)
        and (leaf <= BASIC_MAX or EXTENDED <= leaf <= limits.extended)
    }
    for key, most in (((0, 0), BASIC_MAX), ((7, 0), limits.feature_subleaf)):
        if key in leaves:
            a, *rest = leaves[key]
            leaves[key] = (min(a, most), rest[0], rest[1], rest[2])
    if (EXTENDED, 0) in leaves:
        a, b, c, d = leaves[EXTENDED, 0]
        leaves[EXTENDED, 0] = (min(a, limits.extended), b, c, d)
    msrs = {index: value for index, value in host.msrs.items() if index in limits.msrs}
    return Policy(leaves, msrs, host.source)


def most_generous(version: Version, vendor: tuple[int, int, int] | None = None) -> Policy:
    """Return the maxima that no host of a release exceeds, for a verdict without a host.

    It has no features: only the numbers of leaves, the vendor where one is given, and CPUID
    faulting.
    """
    limits = limits_of(version)
    b, c, d = vendor if vendor is not None else (0, 0, 0)
    return Policy(
        {
            (0, 0): (BASIC_MAX, b, c, d),
            (7, 0): (limits.feature_subleaf, 0, 0, 0),
            (EXTENDED, 0): (limits.extended, b, c, d),
        },
        {PLATFORM_INFO: CPUID_FAULTING},
    )
