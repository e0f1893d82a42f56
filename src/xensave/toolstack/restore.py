"""The restore of an image as Xen's tools do it: xl, libxl, libxc, then Xen itself, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from xensave.catalogue.dates import Dated, Version
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.engine.domain import Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.plugins import Plugin
from xensave.engine.verdict import Accepted, Depends, Refused, Verdict
from xensave.errors import LimitExceeded, XensaveError
from xensave.image.facts.emulator import Emulator
from xensave.image.facts.guest import PV, GuestFacts
from xensave.policy.generous import generous_hosts
from xensave.policy.host import Host
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import Restored
from xensave.policy.steps.default import default_policy
from xensave.policy.value import Policy
from xensave.rules.stream.formats.libxc import CHECKPOINTED
from xensave.toolstack import xl
from xensave.toolstack.domain import carried_policy, domain_of
from xensave.toolstack.libxc import hypercalls, param_rules, param_settings, params, pv, stream
from xensave.toolstack.libxc.guest_policy import (
    culprits,
    lost_sentence,
    needs_sentence,
    restored_policy,
    wanted_of_host,
)
from xensave.toolstack.libxc.latched import latched
from xensave.toolstack.libxl import (
    config,
    creation,
    device_model,
    devices,
    dm_arguments,
    exclusions,
    hardware,
    hvm_params,
    json_types,
    resources,
    sizes,
)
from xensave.toolstack.rule import Restore, RestoreObjection, RestoreRule, Stage, target_of
from xensave.toolstack.scope import HOST_POLICY, OLD_TOOLSTACK, granted

if TYPE_CHECKING:
    from xensave.engine.pv import PvMemory

RULES: tuple[RestoreRule, ...] = (
    *xl.RULES,
    *creation.RULES,
    *exclusions.RULES,
    *resources.RULES,
    *hardware.RULES,
    *devices.RULES,
    *dm_arguments.RULES,
    *params.RULES,
    *sizes.RULES,
    *stream.RULES,
    *hypercalls.RULES,
    *device_model.RULES,
)
"""The rules that are rows of their own; the rest are those of params, policies and formats."""

DATED: tuple[Dated, ...] = (
    *xl.DATED,
    *creation.DATED,
    *resources.DATED,
    *hardware.DATED,
    *dm_arguments.DATED,
    *json_types.DATED,
    *hvm_params.DATED,
    *params.DATED,
    *param_settings.DATED,
    *(row for _, row in param_rules.DISCARDED),
)
"""What else of the toolstack differs between releases."""


def judge(
    facts: GuestFacts,
    target: str,
    *,
    domain: Domain | None = None,
    policy: Policy | None = None,
    host: Host | None = None,
    memory: PvMemory | None = None,
    emulators: tuple[Emulator, ...] | None = None,
    plugins: tuple[Plugin, ...] = (),
    checkpointed: bool = False,
    name_needs: bool = True,
) -> Verdict:
    """Returns what a release makes of an image, from its first header to the guest's registers.

    The domain and its policy are what the image says, unless given; `host` is what is known of
    the target's host, `memory` a PV guest's, `emulators` are the device models of an image that
    was saved on the target. `checkpointed` says that the receiver takes checkpoints, as that of
    Remus does; `xl restore` does not. Without `name_needs` an unknown host is one assumption: to
    name the features that the guest needs of it takes ten times as long as the answer. Raises
    UsageError for an unknown release.

    >>> from xensave.image import open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     verdict = judge(image.facts, "4.13")
    >>> verdict.layer, verdict.record, verdict.reason
    (<Layer.LIBXC: 'libxc'>, 'libxc header', 'the stream has version 3; Xen 4.13 reads 2')
    """
    facts = _as_read(facts, target)
    made = domain if domain is not None else domain_of(facts)
    host = _known(host, facts)
    if facts.legacy and not target_of(target).release.stream_read:
        if facts.context is None:
            return Depends((OLD_TOOLSTACK.sentence,))
        bare = GuestFacts(facts.name, facts.release, context=facts.context)
        alone = judge(bare, target, domain=made, policy=policy, host=host, plugins=plugins)
        return _with(alone, assumes=(OLD_TOOLSTACK.sentence,))
    answer: PolicyRefusal | Restored | Policy | None
    answer = _policy(facts, target, made, host) if policy is None else policy
    in_the_end = _in_the_end(answer, facts, target)
    restore = Restore(facts, target_of(target), in_the_end, host, memory, emulators)
    objections = [*_objections(restore), *_of_policy(answer, facts)]
    if isinstance(facts.stop, LimitExceeded):
        return _up_to(facts.stop, objections)
    if checkpointed:
        objections = [each for each in objections if each.refusal.rule != CHECKPOINTED.id]
    refusal = _first_refusal(objections)
    if refusal is not None:
        return refusal
    # The vCPUs come last, and their rules rely on records that libxc took.
    verdict, assumed = _of_vcpus(restore, made, plugins)
    if isinstance(verdict, Refused):
        elsewhere = _elsewhere(verdict, restore, answer, made, plugins)
        if elsewhere is None:
            return _wanting(verdict, answer, restore, made)
        verdict, answer = elsewhere, None
    needed = _of_host(answer, restore, made, name_needs=name_needs)
    assumes = (*needed, *granted(restore), *assumed)
    return _with(verdict, _doubts(objections), assumes, _warnings(answer, restore))


def _as_read(facts: GuestFacts, target: str) -> GuestFacts:
    """Returns the facts with the configuration as the target's libxl reads it."""
    if facts.xl is None or not facts.config.values:
        return facts
    values = config.readable(facts.config.values, target)
    if values is facts.config.values:
        return facts
    return facts._replace(config=facts.config._replace(values=values))


def _of_vcpus(
    restore: Restore, domain: Domain, plugins: tuple[Plugin, ...]
) -> tuple[Verdict, tuple[str, ...]]:
    """Judges a guest's vCPUs under its policy: the verdict, and what is taken for granted."""
    raised, assumed = pv.vcpus(restore)
    refusal = _first_refusal(raised)
    if refusal is not None:
        return refusal, assumed
    verdict: Verdict = Accepted()
    if restore.facts.context is not None:
        hypervisor = Hypervisor(restore.target.name, domain, restore.policy, plugins=plugins)
        verdict = hypervisor.load(restore.facts.context)
    return _with(verdict, _doubts(raised)), assumed


def _elsewhere(
    refusal: Refused,
    restore: Restore,
    answer: PolicyRefusal | Restored | Policy,
    domain: Domain,
    plugins: tuple[Plugin, ...],
) -> Verdict | None:
    """Returns what a refusal hangs on, where a host that is not known may take the state.

    None where every host refuses it, or where its policy was given.
    """
    if restore.host is not None or not isinstance(answer, Restored):
        return None
    release = restore.target.name
    for other in _others(restore.facts, release, domain, answer):
        verdict, _ = _of_vcpus(restore._replace(policy=other.policy), domain, plugins)
        if isinstance(verdict, Refused):
            continue
        names = wanted_of_host(restore.facts, release, answer.policy, other, domain)
        # Where either of two features would do, none is missed alone.
        have = f"gives the guest {names or 'more features'}"
        if not names and other.policy.vendor != answer.policy.vendor:
            have = f"has a CPU of {other.policy.vendor}"
        doubt = f"whether the target's host {have}; else {refusal.record}: {refusal.reason}"
        return _with(verdict, (doubt,))
    return None


def _others(
    facts: GuestFacts, release: str, domain: Domain, answer: Restored
) -> Iterator[Restored]:
    """Yields what hosts make of the guest's policy that give it all they may, where it differs."""
    for host in generous_hosts(release, pv=facts.type == PV):
        other = restored_policy(facts, release, domain, host)
        if isinstance(other, Restored) and other.policy != answer.policy:
            yield other


def policy_of(facts: GuestFacts, target: str, host: Host | None = None) -> Policy:
    """Returns the CPU policy that a guest has on a release in the end, for whatever asks after it.

    `facts` may lack what comes behind the stream's static data. Where the policy itself is refused
    it is the one that the image carries.
    """
    return _in_the_end(_policy(facts, target, domain_of(facts), host), facts, target)


def policies_of(facts: GuestFacts, target: str, host: Host | None = None) -> tuple[Policy, ...]:
    """Returns `policy_of`, and where no host is known those that another one may give the guest.

    They differ for a stream that does not carry its policy, or not every leaf of it.
    """
    made = domain_of(facts)
    answer = _policy(facts, target, made, host)
    own = _in_the_end(answer, facts, target)
    if not isinstance(answer, Restored) or _known(host, facts) is not None:
        return (own,)
    return (own, *(other.policy for other in _others(facts, target, made, answer)))


def _known(host: Host | None, facts: GuestFacts) -> Host | None:
    """Returns a host, None where its file says nothing of such guests."""
    return host if host is not None and host.tells(pv=facts.type == PV) else None


def _up_to(limit: XensaveError, objections: list[RestoreObjection]) -> Verdict:
    """Judges by what stands before a limit: what lies beyond was not looked at."""
    place = (Stage.STREAM, limit.offset or 0)
    before = [each for each in objections if not each.certain or each.order <= place]
    return _first_refusal(before) or Depends(_doubts(before))


def _first_refusal(objections: Iterable[RestoreObjection]) -> Refused | None:
    """Returns the certain one of some objections that a restore meets first."""
    certain = (each for each in objections if each.certain)
    first = min(certain, key=lambda each: each.order, default=None)
    return None if first is None else first.refusal


def _doubts(objections: Iterable[RestoreObjection]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.refusal.reason for each in objections))


def _policy(
    facts: GuestFacts, target: str, domain: Domain, host: Host | None
) -> PolicyRefusal | Restored | Policy:
    """Returns what becomes of the guest's CPU policy; a bare context gets the target's default."""
    if facts.domain is None:
        theirs = host.of_new_hvm if host is not None else None
        return theirs or default_policy(facts.release or target)
    return restored_policy(facts, target, domain, host)


def _in_the_end(
    answer: PolicyRefusal | Restored | Policy, facts: GuestFacts, target: str
) -> Policy:
    if isinstance(answer, Restored):
        return answer.policy
    if isinstance(answer, Policy):
        return answer
    return carried_policy(facts, "the image") or default_policy(target)


def _of_policy(
    answer: PolicyRefusal | Restored | Policy, facts: GuestFacts
) -> Iterator[RestoreObjection]:
    if isinstance(answer, PolicyRefusal):
        record = "X86_CPUID_POLICY" if answer.leaf is not None else "X86_MSR_POLICY"
        refusal = Refused(
            answer.rule,
            answer.reason,
            errno=answer.errno,
            record=f"libxc {record}",
            offset=facts.firsts.get((LIBXC, libxc.STATIC_DATA_END)),
            cite=answer.cite,
        )
        yield RestoreObjection(refusal, Stage.STREAM)
    if isinstance(answer, Restored):
        for doubt in answer.depends:
            yield RestoreObjection(Refused("POLICY_HOST", doubt), Stage.STREAM, certain=False)


def _of_host(
    answer: PolicyRefusal | Restored | Policy | None,
    restore: Restore,
    domain: Domain,
    *,
    name_needs: bool,
) -> tuple[str, ...]:
    """Says what the guest needs of a host that is not known."""
    if restore.host is not None or not isinstance(answer, Restored):
        return ()
    if not name_needs:
        return (HOST_POLICY.sentence,)
    sentence = needs_sentence(restore.facts, restore.target.name, answer, domain)
    return (sentence,) if sentence else ()


def _wanting(
    verdict: Refused, answer: PolicyRefusal | Restored | Policy, restore: Restore, domain: Domain
) -> Refused:
    """Returns a refusal that says which features the host lacks that it is for."""
    if restore.host is None or not isinstance(answer, Restored):
        return verdict
    names = " ".join(culprits(restore.facts, restore.target.name, answer, domain))
    lacks = f"; the host lacks {names}, which the guest uses" if names else ""
    return verdict._replace(reason=f"{verdict.reason}{lacks}")


def _warnings(
    answer: PolicyRefusal | Restored | Policy | None, restore: Restore
) -> tuple[str, ...]:
    """Says what the guest loses without a word: CPU features, and what it may rely on."""
    lost = lost_sentence(answer.lost) if isinstance(answer, Restored) else ""
    configured = (xl.given_up(restore), xl.passed_over(restore))
    return (
        *(each for each in (lost, *configured) if each),
        *latched(restore.facts, restore.target.name),
    )


@cache
def _in_force(version: Version) -> tuple[RestoreRule, ...]:
    return tuple(each for each in RULES if each.holds(version))


def _objections(restore: Restore) -> Iterator[RestoreObjection]:
    """Yields everything that stands against a restore, in no order."""
    for each in _in_force(restore.target.version):
        objection = each.objection(restore)
        if objection is not None:
            yield objection
    yield from stream.unknown_records(restore)
    # Where a record breaks a rule and the stream stops in it, the rule is met first.
    yield from stream.broken_rules(restore)
    yield from stream.cut_short(restore)
    if restore.facts.domain is not None and restore.facts.domain.type == libxc.HVM:
        yield from params.objections(restore)


def _with(
    verdict: Verdict,
    doubts: tuple[str, ...] = (),
    assumes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Verdict:
    """Returns the engine's verdict with what the toolstack left open, and what is assumed."""
    if isinstance(verdict, Refused):
        return verdict
    depends = (*doubts, *verdict.depends)
    outcome = Depends if depends else Accepted
    assumes = (*verdict.assumes, *assumes)
    return outcome(depends, verdict.loaded, verdict.last, verdict.fixups, assumes, warnings)
