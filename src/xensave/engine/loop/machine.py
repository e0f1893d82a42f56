"""The hypervisor's side of a load: release, domain and policy, and what records left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar, cast

from xensave.catalogue.dates import Version
from xensave.engine.domain import Domain
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.area import FP_SSE

T = TypeVar("T")


class Machine:
    """What the rules ask about, besides the body; `reset` makes it ready for the next load.

    `bounds` says of each handler the first instance that the domain does not take.

    `xcr0_accum` is per vCPU what CPU_XSAVE last set, which the MSR record is judged by.
    """

    __slots__ = ("_accum", "_worked_out", "bounds", "domain", "policy", "version")

    def __init__(
        self,
        version: Version,
        domain: Domain,
        policy: Policy,
        bounds: Mapping[object, int] = MappingProxyType({}),
    ) -> None:
        self.version = version
        self.domain = domain
        self.policy = policy
        self.bounds = bounds
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
        return self._accum.get(vcpu, FP_SSE)
