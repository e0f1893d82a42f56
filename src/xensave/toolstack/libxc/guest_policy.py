"""A guest's CPU policy on a target's host, and its registers under that policy.

Three answers: the policy is refused; the guest restores without some features; its state is
refused because it uses one of them. Without a host the policy is that of a host which can give
all that the release lets a guest have, and what the guest needs of it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from xensave.catalogue.dates import version
from xensave.engine.domain import HVM as HVM_DOMAIN
from xensave.engine.domain import PVH, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.verdict import Refused, Verdict
from xensave.image.facts.guest import PV, GuestFacts
from xensave.policy.host import Host
from xensave.policy.needs import Refuses, missed, names_of, needs
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import Restored, restored
from xensave.policy.steps.clamp import Guest
from xensave.policy.value import Policy


def policy_guest(facts: GuestFacts, domain: Domain | None = None) -> Guest:
    """Returns what of a guest its policy depends on."""
    if facts.type == PV:
        return Guest(pv=True, bits=facts.width or 64)
    made = domain or Domain()
    return Guest(hap=made.hap, nested=made.nested)


def restored_policy(
    facts: GuestFacts, release: str, domain: Domain | None = None, host: Host | None = None
) -> PolicyRefusal | Restored:
    """Returns the policy that a guest has on a release's host in the end, or why it has none."""
    guest = policy_guest(facts, domain)
    if host is not None:
        return restored(facts.leaves, facts.msrs, release, host=host, guest=guest)
    return _restored_anywhere(facts.leaves, facts.msrs, release, guest=guest)


# Guests of one host have one policy: a fleet of thousands has a few.
_restored_anywhere = lru_cache(maxsize=64)(restored)


def culprits(
    facts: GuestFacts, release: str, answer: Restored, domain: Domain | None = None
) -> dict[str, str]:
    """Returns the lost features without which alone the guest's state is refused, and why."""
    refuses = state_refuses(facts, release, domain)
    if refuses(answer.before) is not None:
        return {}
    guest = policy_guest(facts, domain)
    return missed(answer.before, answer.lost, version(release), refuses, guest)


def needs_sentence(
    facts: GuestFacts, release: str, answer: Restored, domain: Domain | None = None
) -> str:
    """Returns what a host must give this guest, and what it was only offered.

    >>> from xensave.image import open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     facts = image.facts
    >>> needs_sentence(facts, "4.17.7", restored_policy(facts, "4.17.7"))[:60]
    'the guest can do without what it was only offered: fpu de ps'
    """
    refuses = state_refuses(facts, release, domain)
    if refuses(answer.policy) is not None:
        return ""
    needed = needs(answer.policy, version(release), refuses, policy_guest(facts, domain))
    offered = f"the guest can do without what it was only offered: {' '.join(needed.offered)}"
    if not needed.in_use:
        return offered
    return (
        f"the target's host has what the guest's state uses, {' '.join(needed.in_use)}; {offered}"
    )


def wanted_of_host(
    facts: GuestFacts,
    release: str,
    policy: Policy,
    answer: Restored,
    domain: Domain | None = None,
) -> str:
    """Returns the features in use that another policy has and this one lacks, by name."""
    refuses = state_refuses(facts, release, domain)
    at = version(release)
    names = [name for name in names_of(answer.policy, at) if not policy.has(name)]
    return " ".join(missed(answer.policy, names, at, refuses, policy_guest(facts, domain)))


def lost_sentence(lost: Sequence[str]) -> str:
    """Returns which features a guest loses without a word, "" for none."""
    if not lost:
        return ""
    plural = "s" if len(lost) > 1 else ""
    return f"the guest loses {len(lost)} CPU feature{plural}: {' '.join(lost)}"


def state_refuses(facts: GuestFacts, release: str, domain: Domain | None = None) -> Refuses:
    """Returns a question to a release: is this guest's state refused under a policy, and why."""
    answer = _pv_answer(facts, release) if facts.type == PV else _hvm_answer(facts, release, domain)

    def refuses(policy: Policy) -> str | None:
        verdict = answer(policy)
        return f"{verdict.record}: {verdict.reason}" if isinstance(verdict, Refused) else None

    return refuses


def _hvm_answer(
    facts: GuestFacts, release: str, domain: Domain | None
) -> Callable[[Policy], Verdict]:
    made = domain or Domain(PVH if facts.type == PVH else HVM_DOMAIN, max(1, facts.vcpus))
    return lambda policy: Hypervisor(release, made, policy).load(facts.context or b"")


def _pv_answer(facts: GuestFacts, release: str) -> Callable[[Policy], Verdict | None]:
    from xensave.engine.pv import PvGuest, judge_pv

    number = facts.config.get("b_info", "max_vcpus")
    vcpus = number if isinstance(number, int) else len(facts.vcpus_pv)
    guest = PvGuest(facts.width or 64, max(1, vcpus), facts.vcpus_pv)
    return lambda policy: judge_pv(version(release), guest, policy).refusal
