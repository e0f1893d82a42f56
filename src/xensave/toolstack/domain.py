"""The domain that a restore makes of an image, and the CPU policy that it holds the guest to."""

from __future__ import annotations

from collections.abc import Container

from xensave import catalogue
from xensave.container.streams import hvm
from xensave.engine.domain import HVM, PVH, Domain
from xensave.image.facts.guest import GuestFacts
from xensave.policy.value import Policy

_CPU, _LAPIC_REGS = map(catalogue.typecode_of, ("CPU", "LAPIC_REGS"))


def domain_of(facts: GuestFacts) -> Domain:
    """Returns the domain that an image describes; a bare context describes its vCPUs only."""
    return Domain(
        PVH if facts.type == PVH else HVM,
        configured_vcpus(facts) or vcpus_in(hvm.keys_of(facts.context or b"")),
        viridian=bool(facts.param.get(catalogue.number_in("hvm-param", "VIRIDIAN"))),
        nested=facts.config.flag("b_info", "nested_hvm") is True,
        hap=facts.config.flag("c_info", "hap") is not False,
    )


def configured_vcpus(facts: GuestFacts) -> int | None:
    """Returns how many vCPUs a configuration of libxl's gives; 1 where it does not say.

    None where there is no configuration: other toolstacks have their own.
    """
    vcpus = facts.config.get("b_info", "max_vcpus")
    if isinstance(vcpus, int) and vcpus > 0:
        return vcpus
    return 1 if facts.xl is not None and facts.config.values else None


def carried_policy(facts: GuestFacts, source: str) -> Policy | None:
    """Returns the policy that the image carries, called `source`; None where it carries none."""
    if not facts.leaves:
        return None
    msrs = {entry.msr: entry.value for entry in facts.msrs or ()}
    return Policy.of(facts.leaves, msrs, source)


def vcpus_in(keys: Container[tuple[int, int]]) -> int:
    """Returns how many vCPUs have a CPU and a LAPIC_REGS record, counted from 0; at least 1.

    `keys` are the typecodes and instances of a context. One damaged record does not make a vCPU:
    what is not whole is not counted.
    """
    # Asked of every release: records of one kind alone, of which there may be very many, cost
    # nothing.
    count = 0
    while (_CPU, count) in keys and (_LAPIC_REGS, count) in keys:
        count += 1
    return max(1, count)
