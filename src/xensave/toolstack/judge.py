"""Many inputs before many targets: each hypervisor is made once."""

from typing import TYPE_CHECKING, NamedTuple

from xensave.catalogue.points import asked_for
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.streams.hvm import keys_of
from xensave.engine.domain import HVM, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.plugins import Plugin
from xensave.engine.verdict import Layer, Refused, Verdict
from xensave.errors import Malformed, Truncated, UsageError, XensaveError
from xensave.image import Image
from xensave.image.facts.guest import GuestFacts
from xensave.image.input import JudgedInput
from xensave.policy.host import Host
from xensave.policy.steps.default import default_policy
from xensave.policy.value import Policy
from xensave.toolstack.domain import domain_of, vcpus_in
from xensave.toolstack.releases.series import Answer, SeriesVerdict, ask, dated_records, naming

if TYPE_CHECKING:
    from xensave.engine.pv import PvMemory
    from xensave.image.facts.emulator import Emulator


class DomainOptions(NamedTuple):
    """What the caller says of the domain; None leaves it to the image, or to the default.

    The default domain is an HVM one with as many vCPUs as the context has whole (one at least),
    without Viridian and nested virtualisation, with hardware assisted paging.
    """

    type: str | None = None
    vcpus: int | None = None
    viridian: bool | None = None
    nested: bool | None = None
    hap: bool | None = None

    def over(self, domain: Domain) -> Domain:
        """Returns a domain with what was said in place of what it had."""
        fields = {key: value for key, value in self._asdict().items() if value is not None}
        return domain._replace(**fields)


class Judge:
    """Judges inputs for each of some targets, as `xensave check` does."""

    def __init__(
        self,
        targets: list[str],
        options: DomainOptions | None = None,
        policy: Policy | None = None,
        *,
        host: Host | None = None,
        emulators: "tuple[Emulator, ...] | None" = None,
        plugins: tuple[Plugin, ...] = (),
        name_needs: bool = True,
    ) -> None:
        self.targets = targets
        self.options = options if options is not None else DomainOptions()
        self.policy = policy
        self.host = host
        self.emulators = emulators
        self.plugins = plugins
        self.name_needs = name_needs
        self._made: dict[tuple[str, Domain], Hypervisor] = {}

    def judge(self, judged: JudgedInput, target: str) -> Verdict:
        """Returns a target's verdict on an input: of a series, the worst of its point releases.

        Raises what `ask` raises.
        """
        return self.ask(judged, target).worst

    def ask(self, judged: JudgedInput, target: str) -> SeriesVerdict:
        """Returns what each point release of a target answers to an input.

        An image that is broken is refused with what is wrong. Raises SourceError and UsageError,
        and Malformed or Unsupported for what is no image that can be read.
        """
        if judged.image is None:
            return self._ask_of_context(judged.context or b"", target)
        # A bare context needs none of the toolstack's rules.
        from xensave.toolstack.libxc.pv import is_pv
        from xensave.toolstack.restore import judge

        facts = judged.image.facts
        if facts.stop is not None and not facts.size and facts.xl is None and facts.libxl is None:
            refusal = _unreadable(facts.stop)
            return SeriesVerdict(target, (Answer(asked_for(target), refusal),))
        own = self.options.over(domain_of(facts)) if facts.context is not None else None
        memory = memory_of(judged.image, facts)

        def of_point(point: str, *, name_needs: bool = False) -> Verdict:
            return judge(
                facts,
                point,
                domain=own,
                policy=self.policy,
                host=self.host,
                memory=memory,
                emulators=self.emulators,
                plugins=self.plugins,
                name_needs=name_needs,
            )

        verdicts = ask(target, None, of_point, pv=is_pv(facts))
        if not self.name_needs:
            return verdicts

        # What a guest needs of its host takes ten times as long: once for each different answer.
        def with_needs(answer: Answer) -> Answer:
            if isinstance(answer.verdict, Refused):
                return answer
            name = target if verdicts.alike else answer.points[0]
            verdict = of_point(name, name_needs=True)
            return answer._replace(verdict=naming(verdict, name, verdicts.named(answer)))

        return verdicts._replace(answers=tuple(map(with_needs, verdicts.answers)))

    def _ask_of_context(self, data: bytes, target: str) -> SeriesVerdict:
        keys = keys_of(data)
        domain = self.options.over(Domain(HVM, self.options.vcpus or vcpus_in(keys)))
        return ask(
            target, dated_records(keys), lambda point: self._hypervisor(point, domain).load(data)
        )

    def _hypervisor(self, target: str, domain: Domain) -> Hypervisor:
        if (target, domain) not in self._made:
            theirs = self.host.of_new_hvm if self.host is not None else None
            policy = self.policy or theirs or default_policy(target)
            made = Hypervisor(target, domain, policy, plugins=self.plugins)
            self._made[target, domain] = made
        return self._made[target, domain]


def _unreadable(error: XensaveError) -> Verdict:
    """Returns the refusal of an input without a first header; raises what is not read at all."""
    from xensave.toolstack.libxc.stream import reader_of, refusal_of

    if isinstance(error, Truncated):
        return refusal_of(reader_of(error), error)._replace(record=error.record)
    if isinstance(error, Malformed):
        return refusal_of(Layer.XL, error)._replace(record="xl header")
    raise error


def memory_of(image: Image, facts: GuestFacts) -> "PvMemory | None":
    """Returns a PV guest's memory, where all of it is there and can be read a second time.

    Behind a VERIFY record libxc only compares pages: the new guest's have no contents then.
    """
    from xensave.toolstack.libxc.pv import is_pv

    if facts.unread or not is_pv(facts) or facts.width not in (32, 64) or facts.max_pfn is None:
        return None
    if facts.stop is not None or facts.has(LIBXC, libxc.VERIFY):
        return None
    if facts.pages is None or not facts.pages.populated or facts.cut:
        return None
    from xensave.engine.pv import PvMemory

    try:
        return PvMemory.of(image, facts)
    except UsageError:
        # A pipe: what the stream listed has to do.
        return None
