"""What the rules of PV vCPUs are about: the guest, and one record of a vCPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.loop.rule import HandlerRule
from xensave.engine.pv.memory import AnyMemory
from xensave.image.facts.guest import PvVcpu
from xensave.policy.value import Policy
from xensave.records.values import Values, integer

BASIC = "X86_PV_VCPU_BASIC"
EXTENDED = "X86_PV_VCPU_EXTENDED"
XSAVE = "X86_PV_VCPU_XSAVE"
MSRS = "X86_PV_VCPU_MSRS"


AUDITED = Dated(
    "PV_RECORDS_AUDITED",
    MSRS,
    "libxc wants whole entries of MSRs; before, XSAVE areas that are multiples of 16 bytes",
    Cite(
        "handle_x86_pv_vcpu_blob",
        "2a62c22715",
        "libxc/restore: Fix data auditing in handle_x86_pv_vcpu_blob()",
        "4.14",
    ),
    since=("4.12.3", "4.13.1", "4.14.0"),
)


class PvGuest(NamedTuple):
    """A PV guest's vCPUs: its width in bits, how many the domain has, and their records.

    `host` is the host's own policy, None where it is not known.
    """

    bits: int
    vcpus: int
    records: Mapping[int, PvVcpu]
    host: Policy | None = None


class PvRecord:
    """A vCPU's record: its guest and number, the content as fields by path and as bytes.

    `memory` is the guest's, where it is known.
    """

    __slots__ = ("content", "guest", "memory", "values", "vcpu")

    def __init__(
        self, guest: PvGuest, vcpu: int, values: Values, content: bytes, memory: AnyMemory | None
    ) -> None:
        self.guest = guest
        self.vcpu = vcpu
        self.values = values
        self.content = content
        self.memory = memory

    def __getitem__(self, path: str) -> int:
        return integer(self.values, path)


PvRule: TypeAlias = HandlerRule[PvRecord]
MemoryRule: TypeAlias = HandlerRule[AnyMemory]
