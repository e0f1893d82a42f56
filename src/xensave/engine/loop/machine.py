"""The hypervisor's side of a load: release, domain and policy, and what records left behind."""

from __future__ import annotations

from xensave.catalogue.dates import Version
from xensave.engine.domain import Domain
from xensave.policy.value import Policy

_FP_SSE = 0x3


class Machine:
    """What the rules ask about, besides the body: it is made anew for each load.

    `xcr0_accum` is per vCPU what CPU_XSAVE last set, which the MSR record is judged by.
    """

    __slots__ = ("_accum", "domain", "policy", "version")

    def __init__(self, version: Version, domain: Domain, policy: Policy) -> None:
        self.version = version
        self.domain = domain
        self.policy = policy
        self._accum: dict[int, int] = {}

    def reset(self) -> None:
        """Forget what the last load did."""
        self._accum.clear()

    def set_xcr0_accum(self, vcpu: int, value: int) -> None:
        """Note what a vCPU's CPU_XSAVE record set."""
        self._accum[vcpu] = value

    def xcr0_accum(self, vcpu: int) -> int:
        """Return a vCPU's accumulated XCR0."""
        return self._accum.get(vcpu, _FP_SSE)
