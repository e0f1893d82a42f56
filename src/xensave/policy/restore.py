"""The policy of a restored guest: what its stream carries, set, compared and clamped by a release.

`set_policy` is XEN_DOMCTL_set_cpu_policy up to where it may refuse; `restored` is all of it, with
what the toolstack makes up for a stream without policies, and says what the guest lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xensave.catalogue import series_of
from xensave.catalogue.dates import Version, version
from xensave.policy.featureset import changed_features
from xensave.policy.host import Host, fitted, most_generous
from xensave.policy.limits import IN_STREAMS
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.steps.clamp import Guest, clamped
from xensave.policy.steps.compatible import cleared, compatible
from xensave.policy.steps.copy import copy_cpuid, copy_msrs, merged
from xensave.policy.steps.default import default_policy, pv_default_policy
from xensave.policy.steps.invent import invented
from xensave.policy.value import EMPTY, CpuidEntry, MsrEntry, Policy
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF

FAULTING = "whether the host has CPUID faulting, which MSR 0xce of the policy offers"
"""HVM guests have it everywhere, PV guests where the CPU has it."""


class Restored(NamedTuple):
    """A guest's policy in the end, what it was before Xen clamped it, and what went and came.

    `lost` and `gained` name features as the release does. `made_up` says that the stream carried
    no CPUID policy. `depends` is what only the host could tell.
    """

    policy: Policy
    before: Policy
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    made_up: bool = False
    depends: tuple[str, ...] = ()


def set_policy(
    leaves: Sequence[CpuidEntry],
    msrs: Sequence[MsrEntry],
    at: Version,
    *,
    default: Policy = EMPTY,
    maximum: Policy | None = None,
    pv: bool = False,
) -> PolicyRefusal | Policy:
    """Returns what a release makes of the records' entries: a refusal, or the policy they give.

    `default` is the policy that the new domain has before, of which every leaf and MSR stays
    that the records do not name; `maximum` is the host's HVM Max or PV Max policy. Without it
    only that is refused which no host of that release could give. What the returned policy
    asks in vain of the host is not yet taken away.

    >>> refusal = set_policy([(0, 0xFFFFFFFF, 0xE, 0, 0, 0)], [], (4, 17, 7))
    >>> refusal.errno, refusal.reason
    ('EINVAL', "its leaves go to 0xe, the host's to 0xd")
    """
    refusal = copy_cpuid(leaves, at) or copy_msrs(msrs, at)
    if refusal is not None:
        return refusal
    policy = cleared(merged(fitted(default, at), leaves, msrs), at)
    host = most_generous(at, policy, pv=pv) if maximum is None else fitted(maximum, at)
    return compatible(policy, host, at) or policy


def restored(
    leaves: Sequence[CpuidEntry] | None,
    msrs: Sequence[MsrEntry] | None,
    release: str,
    *,
    host: Host | None = None,
    guest: Guest | None = None,
) -> PolicyRefusal | Restored:
    """Returns what becomes of a guest's policy on a release: a refusal, or what it is in the end.

    `leaves` and `msrs` are None where the stream has no such record. Without a host, or where
    its file does not say it, the domain's default is that of the sample images' host, and the
    host can give whatever the release lets a guest have. Before 4.14 no stream carries policies,
    and the domain has its default one.

    >>> from xensave.image import open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     facts = image.facts
    >>> restored(facts.leaves, facts.msrs, "4.15.2").errno
    'ERANGE'
    >>> restored(facts.leaves, facts.msrs, "4.15.3").lost
    ('e8b:20',)
    """
    guest = guest or Guest()
    series_of(release)
    at = version(release)
    physical = host.physical if host is not None else None
    default = _default(release, host, pv=guest.pv)
    if not IN_STREAMS.holds(at):
        # The toolstack gives the domain what it gives a new one; nothing is compared. Of a newer
        # Xen's default it had some features by default too.
        if host is not None:
            default = invented(default, physical or default, at, pv=guest.pv)
        return Restored(default, default, (), (), made_up=True)
    default = fitted(default, at)
    like = merged(default, leaves or (), ())
    maximum = host.maximum(at, like, pv=guest.pv) if host is not None else None

    def put(
        onto: Policy, leaves: Sequence[CpuidEntry], msrs: Sequence[MsrEntry]
    ) -> PolicyRefusal | Policy:
        return set_policy(leaves, msrs, at, default=onto, maximum=maximum, pv=guest.pv)

    policy = put(default, leaves or (), msrs or ())
    if leaves is None and not isinstance(policy, PolicyRefusal):
        made = invented(default, physical or default, at, pv=guest.pv, nested=guest.nested)
        policy = put(policy, entries_of(made)[0], ())
    if isinstance(policy, PolicyRefusal):
        return policy
    most = maximum or most_generous(at, policy, pv=guest.pv)
    final = clamped(policy, most, at, guest, physical)
    changed = changed_features(policy, final, at)
    faulting = guest.pv and maximum is None and policy.cpuid_faulting
    depends = (FAULTING,) if faulting else ()
    return Restored(final, policy, *changed, made_up=leaves is None, depends=depends)


def _default(release: str, host: Host | None, *, pv: bool) -> Policy:
    """Returns what a new domain has: on a host, or where it is not told on the samples' one."""
    default = host.default(pv=pv) if host is not None else None
    if default is not None:
        return default
    return pv_default_policy(release) if pv else default_policy(release)


def entries_of(policy: Policy) -> tuple[list[CpuidEntry], list[MsrEntry]]:
    """Returns a policy's leaves and MSRs as entries of the two records."""
    leaves = [
        (leaf, subleaf if leaf in (4, 7, 0xB, 0xD) else NO_SUBLEAF, *registers)
        for (leaf, subleaf), registers in sorted(policy.leaves.items())
    ]
    return leaves, [(index, 0, value) for index, value in policy.msrs.items()]
