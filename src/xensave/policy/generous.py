"""Hosts that give a guest all that a release has: what a verdict without a host is tried on.

A guest whose stream carries no policy, or not every leaf, gets what is missing from its host. The
samples' host, which stands in for an unknown one, is a CPU among many: what that one refuses,
another may take.
"""

from __future__ import annotations

from functools import cache

from xensave.catalogue.dates import version
from xensave.catalogue.features import features_of
from xensave.policy.featureset import featureset, with_featureset
from xensave.policy.host import Host, most_generous
from xensave.policy.steps.clamp import Guest, clamped
from xensave.policy.steps.default import default_policy
from xensave.policy.value import INTEL, Policy

BY_DEFAULT = "ASH!"
"""Attributes of the features that a domain has without being configured to."""


@cache
def generous_hosts(release: str, *, pv: bool) -> tuple[Host, ...]:
    """Returns an AMD-like and an Intel host that can give all a release lets a guest have.

    >>> amd, intel = generous_hosts("4.17.7", pv=False)
    >>> intel.hvm_default.vendor, intel.hvm_default.has("pcid"), intel.hvm_default.has("vmx")
    ('GenuineIntel', True, False)
    """
    own = default_policy(release)
    return tuple(_host(release, like, pv=pv) for like in (own, _of_intel(own)))


def _host(release: str, like: Policy, *, pv: bool) -> Host:
    at = version(release)
    most = most_generous(at, like, pv=pv)
    features = features_of(at)
    words = [
        value & features.mask(word, BY_DEFAULT) for word, value in enumerate(featureset(most, at))
    ]
    default = clamped(with_featureset(most, words, at), most, at, Guest(pv=pv))
    if pv:
        return Host("any", pv_max=most, pv_default=default, physical=most)
    return Host("any", hvm_max=most, hvm_default=default, physical=most)


def _of_intel(policy: Policy) -> Policy:
    vendor = INTEL.encode()
    b, d, c = (int.from_bytes(vendor[at : at + 4], "little") for at in (0, 4, 8))
    return policy.with_leaves({**policy.leaves, (0, 0): (policy.leaf(0)[0], b, c, d)})
