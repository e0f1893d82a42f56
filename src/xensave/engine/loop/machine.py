"""The hypervisor's side of a load: release, domain and policy, and what records left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from xensave.catalogue.dates import Version
from xensave.engine.domain import Domain
from xensave.policy.value import Policy

T = TypeVar("T")

_FP_SSE = 0x3


class Bounded(Protocol):
    """What the machine asks a handler."""

    def bound(self, domain: Domain) -> int:
        """Returns the first instance that a domain does not take."""


class Bounds(dict[Bounded, int]):
    """The first instance that a domain does not take of each handler's record."""

    def __init__(self, domain: Domain) -> None:
        super().__init__()
        self._domain = domain

    def __missing__(self, handler: Bounded) -> int:
        bound = self[handler] = handler.bound(self._domain)
        return bound


class Machine:
    """What the rules ask about, besides the body; `reset` makes it ready for the next load.

    `bounds` says which instances the domain takes.

    `xcr0_accum` is per vCPU what CPU_XSAVE last set, which the MSR record is judged by.
    """

    __slots__ = ("_accum", "_worked_out", "bounds", "domain", "policy", "version")

    def __init__(self, version: Version, domain: Domain, policy: Policy) -> None:
        self.version = version
        self.domain = domain
        self.policy = policy
        self.bounds = Bounds(domain)
        self._accum: dict[int, int] = {}
        self._worked_out: dict[Callable[[Machine], object], object] = {}

    def reset(self) -> None:
        """Forgets what the last load did."""
        self._accum.clear()

    def once(self, what: Callable[[Machine], T]) -> T:
        """Returns what a function makes of release, domain and policy, worked out once."""
        answer = self._worked_out.get(what, self)
        if answer is self:
            answer = self._worked_out[what] = what(self)
        return cast("T", answer)

    def set_xcr0_accum(self, vcpu: int, value: int) -> None:
        """Notes what a vCPU's CPU_XSAVE record set."""
        self._accum[vcpu] = value

    def xcr0_accum(self, vcpu: int) -> int:
        """Returns a vCPU's accumulated XCR0."""
        return self._accum.get(vcpu, _FP_SSE)
