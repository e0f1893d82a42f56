"""Rules of PV vCPUs as data: a function, and the row that says whose rule it is, and since when."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xensave.catalogue.dates import Dated, in_force
from xensave.catalogue.errnos import MaybeErrno
from xensave.catalogue.model import Cite
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Undecided
from xensave.engine.pv.memory import PvMemory
from xensave.engine.verdict import Layer
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


class PvRefusal(NamedTuple):
    """Who refuses a PV guest's record, and why; `errno` is "" where libxc gives none."""

    layer: Layer
    record: str
    errno: MaybeErrno
    rule: str
    reason: str
    cite: Cite


class PvRecord:
    """A vCPU's record: its number, the content as fields by path and as bytes, the width in bits.

    `vcpus` is how many the domain has, `host` the host's own policy and `memory` the guest's
    memory, where they are known.
    """

    __slots__ = ("bits", "content", "host", "memory", "values", "vcpu", "vcpus")

    def __init__(
        self,
        vcpu: int,
        values: Values,
        content: bytes,
        bits: int = 64,
        *,
        vcpus: int = 1,
        host: Policy | None = None,
        memory: PvMemory | None = None,
    ) -> None:
        self.vcpu = vcpu
        self.values = values
        self.content = content
        self.bits = bits
        self.vcpus = vcpus
        self.host = host
        self.memory = memory

    def __getitem__(self, path: str) -> int:
        return integer(self.values, path)


class PvRule(NamedTuple):
    """One thing that is required of a vCPU's record.

    `test` returns None where all is well, else what is not; it raises Undecided where only the host
    could tell. `bits` limits it to guests of that width.
    """

    id: str
    record: str
    says: str
    test: Callable[[PvRecord, Machine], str | None]
    cite: Cite
    errno: MaybeErrno = "EINVAL"
    layer: Layer = Layer.XEN
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    bits: int | None = None


def apply(
    rules: tuple[PvRule, ...], record: PvRecord, machine: Machine, depends: list[str]
) -> PvRefusal | None:
    """Returns the first refusal of some rules in force; what they leave open goes to `depends`."""
    for rule in rules:
        if not in_force(rule.since, rule.until, machine.version):
            continue
        if rule.bits is not None and rule.bits != record.bits:
            continue
        name = f"{rule.record}[{record.vcpu}]"
        try:
            wrong = rule.test(record, machine)
        except Undecided as doubt:
            depends.append(f"{name}: {doubt}")
            continue
        if wrong is not None:
            return PvRefusal(rule.layer, name, rule.errno, rule.id, wrong, rule.cite)
    return None


class MemoryRule(NamedTuple):
    """One thing that is required of a PV guest's memory as a whole.

    `test` returns None where all is well, else what is not.
    """

    id: str
    record: str
    says: str
    test: Callable[[PvMemory], str | None]
    cite: Cite
    errno: MaybeErrno = ""
    layer: Layer = Layer.LIBXC
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def refusal(self, memory: PvMemory | None) -> PvRefusal | None:
        """Returns the refusal of a memory, None for none, and where the memory is not known."""
        wrong = self.test(memory) if memory is not None else None
        if wrong is None:
            return None
        return PvRefusal(self.layer, self.record, self.errno, self.id, wrong, self.cite)
