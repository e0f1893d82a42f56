"""A release's hypervisor: its handler table, and the save, check and load loops over it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from xensave.catalogue.dates import newest, version
from xensave.context import Context
from xensave.engine.domain import Domain
from xensave.engine.handlers.table import handlers_of
from xensave.engine.loop import load as loop
from xensave.engine.loop.handler import Handler
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.save import save_context, save_one, save_size
from xensave.engine.plugins import Plugin, check_clashes
from xensave.engine.state import DomainState
from xensave.engine.verdict import Accepted, Refused, Verdict
from xensave.policy.steps.default import default_policy
from xensave.policy.value import Policy

Contextual = Context | bytes | bytearray | memoryview


class Hypervisor:
    """Xen of one release, with one domain, asked what it makes of a context.

    `release` is a series ("4.17": its newest point release), a point release ("4.17.7"), a tag or
    "master". `policy` is the domain's CPU policy, by default the one that the release gives a
    domain on the sample images' host (`xensave.engine.default_policy`). `plugins` are records of
    a patched hypervisor; UsageError where one claims another's number.

    >>> hypervisor = Hypervisor("4.21", Domain("pvh"))
    >>> hypervisor.handlers[5]
    <Handler LAPIC (5), 32 bytes per vcpu>
    >>> with open("examples/pvh1.ctx", "rb") as file:
    ...     verdict = hypervisor.load(file.read())
    >>> verdict.accepted, verdict.fixups
    (True, ('LAPIC from 24 to 32 bytes',))
    """

    def __init__(
        self,
        release: str,
        domain: Domain | None = None,
        policy: Policy | None = None,
        *,
        plugins: Iterable[Plugin] = (),
    ) -> None:
        self.name = release
        self.release = newest(release)
        self.version = version(release)
        self.domain = domain if domain is not None else Domain()
        self.policy = policy if policy is not None else default_policy(release)
        self.handlers: dict[int, Handler] = handlers_of(self.release, self.version)
        chosen = tuple(plugins)
        check_clashes(release, chosen)
        self.handlers.update((plugin.typecode, plugin.handler()) for plugin in chosen)
        bounds: dict[object, int] = {
            handler: handler.bound(self.domain) for handler in self.handlers.values()
        }
        self.machine = Machine(self.version, self.domain, self.policy, bounds)
        self.rules = loop.LoopRules.of(self.version, check_pass=self.release.check_pass)
        self._loaded: bytes | None = None

    def __repr__(self) -> str:
        return f"<Hypervisor {self.name}, {len(self.handlers)} handlers, {self.domain.type} domain>"

    @cached_property
    def code_max(self) -> int:
        """The largest typecode of the handler table."""
        return max(self.release.code_max, *self.handlers)

    @property
    def state(self) -> DomainState:
        """What the last load that was accepted left in the domain, as its records; else empty.

        Records are as the handlers keep them: zero-extended and converted.
        """
        if self._loaded is None:
            return DomainState({})
        return loop.state_of(self._loaded, self.handlers)

    def check(self, context: Contextual) -> Verdict:
        """Runs the check pass alone; a release without one (before 4.19) accepts whatever comes."""
        if not self.release.check_pass:
            return Accepted()
        return loop.check(_octets(context), self.handlers, self.machine, self.rules)

    def load(self, context: Contextual) -> Verdict:
        """Does what XEN_DOMCTL_sethvmcontext does: check, where the release does, then load."""
        data = _octets(context)
        verdict = loop.load(data, self.handlers, self.machine, self.rules)
        self._loaded = None if isinstance(verdict, Refused) else data
        return verdict

    def save_size(self) -> int:
        """Returns the buffer that XEN_DOMCTL_gethvmcontext wants, in bytes."""
        return save_size(self.handlers, self.machine)

    def save(self, state: DomainState | None = None) -> bytes:
        """Returns the context that the release writes of a domain in this state.

        By default the state that the last load left. The bytes are as they came: a Xen that ran
        the guest rewrites some (the header, the reserved bits of DR6, DR7 and RFLAGS, segment
        attributes). Raises UsageError for records that the release does not have, or whose length
        is not its own.
        """
        return save_context(state if state is not None else self.state, self.handlers, self.machine)

    def save_one(
        self, typecode: int, instance: int, state: DomainState | None = None
    ) -> bytes | str:
        """Returns a record's body as XEN_DOMCTL_gethvmcontext_partial does, or an errno's name."""
        saved = state if state is not None else self.state
        return save_one(saved, typecode, instance, self.handlers, self.machine)


def _octets(context: Contextual) -> bytes:
    if isinstance(context, bytes):
        return context
    return context.to_bytes() if isinstance(context, Context) else bytes(context)
