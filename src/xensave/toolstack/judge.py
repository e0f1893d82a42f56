"""Many inputs before many targets: each hypervisor is made once."""

from __future__ import annotations

from typing import NamedTuple

from xensave.engine.domain import HVM, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.plugins import Plugin
from xensave.engine.verdict import Verdict
from xensave.errors import SourceError, Unsupported, UsageError, XensaveError
from xensave.image.input import Given
from xensave.policy.default import default_policy
from xensave.policy.value import Policy
from xensave.toolstack.image import domain_of, judge, vcpus_in


class Said(NamedTuple):
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
        """Return a domain with what was said in place of what it had."""
        said = {key: value for key, value in self._asdict().items() if value is not None}
        return domain._replace(**said)


class Judge:
    """Judges inputs for each of some targets, as `xensave check` does."""

    def __init__(
        self,
        targets: list[str],
        said: Said | None = None,
        policy: Policy | None = None,
        plugins: tuple[Plugin, ...] = (),
    ) -> None:
        self.targets = targets
        self.said = said if said is not None else Said()
        self.policy = policy
        self.plugins = plugins
        self._made: dict[tuple[str, Domain], Hypervisor] = {}

    def judge(self, given: Given, target: str) -> Verdict:
        """Return a target's verdict on an input.

        An image that is broken is refused with what is wrong; of one in a format that is not read
        there is no telling. Raises SourceError and UsageError.
        """
        if given.image is None:
            data = given.context or b""
            domain = self.said.over(Domain(HVM, self.said.vcpus or vcpus_in(data)))
            return self._hypervisor(target, domain).load(data)
        try:
            image = given.image
            own = self.said.over(domain_of(image)) if image.has_context else None
            return judge(image, target, domain=own, policy=self.policy, plugins=self.plugins)
        except (SourceError, UsageError):
            raise
        except Unsupported as error:
            return Verdict(accepted=None, rule="IMAGE_UNREAD", depends=(error.message,))
        except XensaveError as error:
            return Verdict(
                accepted=False,
                record=error.record,
                offset=error.offset,
                rule="IMAGE_BROKEN",
                reason=error.message,
            )

    def _hypervisor(self, target: str, domain: Domain) -> Hypervisor:
        found = self._made.get((target, domain))
        if found is None:
            policy = self.policy if self.policy is not None else default_policy(target)
            found = Hypervisor(target, domain, policy, plugins=self.plugins)
            self._made[target, domain] = found
        return found
