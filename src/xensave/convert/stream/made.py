"""What a conversion made of an image, as facts: to be judged before its end is written."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from xensave import catalogue
from xensave.catalogue.dates import version
from xensave.catalogue.points import asked_for
from xensave.container.events import CONTEXT, RECORD, Event, Header, LayerName
from xensave.container.formats import format_named
from xensave.container.framing import HEADER, record_name
from xensave.container.streams import hvm, libxc
from xensave.container.streams.libxc_records import policy_leaves, policy_msrs
from xensave.convert.plan import ConversionRefused, Plan
from xensave.convert.records.msrs import Machines, machines_of
from xensave.convert.settings import Settings
from xensave.engine import verdict as answers
from xensave.errors import LimitExceeded
from xensave.findings import Place
from xensave.image import Image
from xensave.image.counted import facts_of
from xensave.image.facts.guest import PV, GuestFacts
from xensave.image.facts.pages import PageTally
from xensave.image.tally import Tally
from xensave.policy.needs import names_of
from xensave.policy.value import Policy
from xensave.rules.stream.run import Checks
from xensave.toolstack.judge import memory_of
from xensave.toolstack.libxc.guest_policy import lost_sentence
from xensave.toolstack.libxc.latched import latched
from xensave.toolstack.releases.series import ask, representatives
from xensave.toolstack.restore import judge, policies_of, policy_of
from xensave.toolstack.rule import Restore, target_of

POLICY_LIMIT = 64 * 1024


class ConvertedEvent(Event):
    """A header or record that a conversion made in place of the one at `event`.

    Its body and padding are at hand; its offset is that of what it stands for. `type_` is the type
    of a record without a body whose header is not of a stream's form.
    """

    __slots__ = ("_packed",)

    def __init__(
        self,
        event: Event,
        packed: bytes,
        header: Header | None = None,
        type_: int | None = None,
    ) -> None:
        front, length, name = len(packed), 0, event.name
        if event.kind == CONTEXT:
            front, length = 0, len(packed)
        elif event.kind == RECORD and type_ is None:
            type_, length = HEADER.unpack_from(packed)
            front = HEADER.size
        if type_ is not None:
            name = record_name(type_, format_named(event.layer).records)
        raw = memoryview(packed)[:front]
        super().__init__(
            event._source,
            event.layer,
            event.kind,
            name,
            raw,
            length=length,
            type_=-1 if type_ is None else type_,
            header=header,
            offset=event.offset,
        )
        self._packed = packed
        self.head = packed[front : front + length]

    def padding(self) -> bytes:
        """Returns the zeroes that pad the body."""
        return self._packed[len(self._packed) - self.pad_length :] if self.pad_length else b""


class GrowingImage:
    """An image that is made, as it grows: its records and what rules they break, without pages."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._checks = Checks()
        self._pages = PageTally()

    def add(self, event: Event) -> None:
        """Takes in a header or record of the result, converted or as it was."""
        self._tally.add(event)
        self._checks.add(event)
        self._pages.add(event)

    def seen(self, layer: LayerName, type_: int) -> bool:
        """Tells whether the result has a record of a type."""
        return (layer, type_) in self._tally.firsts

    def facts(self, release: str | None = None) -> GuestFacts:
        """Returns the facts so far; `release` is the one that the result is of."""
        broken = tuple(self._checks.findings)
        return facts_of(self._tally, "the result", release, broken=broken, pages=self._pages.facts)


def refusal_of(verdict: answers.Refused, target: str) -> str:
    """Returns what is said of a result that a release refuses."""
    errno = f" with {verdict.errno}" if verdict.errno else ""
    return f"Xen {target} would refuse the result{errno}: {verdict.reason}"


class ConvertedImage(GrowingImage):
    """The converted image as it grows, and the CPU policy that the guest ran under.

    The policy says what the guest's state may hold, even where a version 2 stream cannot carry
    it. A checkpointed stream is judged at each checkpoint, by the newest context and params.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._policies: dict[int, bytes] = {}

    def ran_under(self, type_: int, body: bytes | memoryview) -> None:
        """Notes X86_CPUID_POLICY or X86_MSR_POLICY of the source, kept or not.

        Raises LimitExceeded for a policy above POLICY_LIMIT.
        """
        if len(body) > POLICY_LIMIT:
            raise LimitExceeded(f"a CPU policy of {len(body)} bytes, the limit is {POLICY_LIMIT}")
        self._policies[type_] = bytes(body)

    def policy(self, facts: GuestFacts) -> Policy | None:
        """Returns the CPU policy that the result is held to; None for what the target makes of it.

        The target goes by the result's own. Where it has none, a known host gives the guest one.
        """
        carried = self._carried()
        host = self.settings.host
        if facts.leaves is not None or (carried is not None and host is not None):
            return None
        return carried or self.settings.policy

    def restores(self) -> tuple[Restore, ...]:
        """Returns the restore of what was made so far, on each kind of the target's points."""
        facts, host = self.facts(self.settings.target), self.settings.host
        policy = self.policy(facts)
        return tuple(
            Restore(facts, target_of(point), policy or policy_of(facts, point, host), host)
            for point in representatives(self.settings.target, pv=facts.type == PV)
        )

    def machines(self) -> tuple[Machines, ...]:
        """Returns what MSRs are set by, on each kind of the target's points.

        Each is a release under the policies that the guest may have there: one that is held to, or
        all that a host may give which is not known.
        """
        facts, host = self.facts(self.settings.target), self.settings.host
        policy = self.policy(facts)
        return tuple(
            machines_of(point, (policy,) if policy else policies_of(facts, point, host))
            for point in representatives(self.settings.target, pv=facts.type == PV)
        )

    def lost(self, facts: GuestFacts, source: str | None) -> str:
        """Returns which features a known host does not give a guest whose policy the result lacks.

        Of a result that carries the policy the verdict says it, as `check` does.
        """
        carried, host, target = self._carried(), self.settings.host, self.settings.target
        if host is None or carried is None or facts.leaves is not None:
            return ""
        at = version(asked_for(source or target)[-1])
        theirs = names_of(policy_of(facts, asked_for(target)[0], host), at)
        return lost_sentence([name for name in names_of(carried, at) if name not in theirs])

    def _carried(self) -> Policy | None:
        """Returns the CPU policy that the guest ran under, where the image carries it."""
        leaves = policy_leaves(self._policies.get(libxc.X86_CPUID_POLICY, b""))
        if not leaves:
            return None
        msrs = policy_msrs(self._policies.get(libxc.X86_MSR_POLICY, b""))
        return Policy.of(leaves, {entry.msr: entry.value for entry in msrs}, "the image")


def check(
    made: ConvertedImage, plan: Plan, typecodes: Collection[int], image: Image | None = None
) -> None:
    """Raises ConversionRefused, with the reason, where the target would refuse what was made.

    The domain is the one that the image describes: its type, vCPUs, params and CPU policy. Without
    a host, a result without a policy of its own is held to the one that the guest ran under, to
    that of the settings, or to the default of its release. `image` is what it was made of, where
    its pages can be read. The context is judged without the typecodes kept for a downstream.
    """
    facts = made.facts(plan.target)
    if typecodes and facts.context is not None:
        facts = facts._replace(context=_without(facts.context, typecodes))
    if not catalogue.release(plan.target).stream_read:
        # What an older libxc makes of a legacy stream is not modelled: its context alone is judged.
        facts = GuestFacts(facts.name, facts.release, context=facts.context)
        if facts.context is None:
            return
    memory = memory_of(image, facts) if image is not None else None
    of_point = partial(
        judge, facts, policy=made.policy(facts), host=made.settings.host, memory=memory,
        checkpointed=True, name_needs=False,
    )  # fmt: skip
    verdict = ask(plan.target, None, of_point, pv=facts.type == PV).worst
    if isinstance(verdict, answers.Refused):
        place = Place(record=verdict.record)
        raise ConversionRefused(refusal_of(verdict, plan.target), plan, place)
    plan.depends = tuple(dict.fromkeys([*plan.depends, *verdict.depends]))
    # The result names the target's release; what the guest relies on is what it was saved on.
    relied_on = latched(facts._replace(release=plan.source), plan.target)
    lost = [each for each in (made.lost(facts, plan.source),) if each]
    plan.warnings = tuple(dict.fromkeys([*plan.warnings, *lost, *verdict.warnings, *relied_on]))


def _without(context: bytes, codes: Collection[int]) -> bytes:
    raw = hvm.RawContext.parse(context)
    entries = [entry for entry in raw.entries if entry.typecode not in codes]
    return raw._replace(entries=entries).to_bytes()
