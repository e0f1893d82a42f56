"""Every handler of Xen, and every rule: a line each; a release takes those in force."""

from __future__ import annotations

from functools import cache

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite, Release
from xensave.engine.handlers import cpu, devices, msr, vcpu, xsave
from xensave.engine.loop import load
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import VCPU, Handler, Spec
from xensave.engine.loop.rule import HandlerRule

SPECS: dict[str, Spec] = {
    spec.record: spec
    for spec in (
        Spec("CPU", VCPU),
        *devices.SPECS,
        *vcpu.SPECS,
        *xsave.SPECS,
        *msr.SPECS,
    )
}

RULES: tuple[HandlerRule[Body], ...] = (*cpu.RULES, *devices.RULES, *vcpu.RULES)

_FIXUPS = {"CPU": cpu.convert}
_OWN: dict[str, type[Handler]] = {"CPU_XSAVE": xsave.XsaveHandler, "CPU_MSR": msr.MsrHandler}
DEVICES = Dated(
    "ENTRY_DEVICE",
    "",
    "a domain may lack emulated devices: a record of one that it lacks is refused",
    Cite("pit_load", "c55f69e5c4", "x86: allow disabling the emulated PIT", "4.7"),
    ("4.7",),
)

DATED: tuple[Dated, ...] = (
    *load.DATED,
    DEVICES,
    *cpu.DATED,
    *vcpu.DATED,
    *xsave.DATED,
    *msr.DATED,
)
"""What else differs between releases in a load, in the order of the handlers."""


@cache
def rules_of(record: str, version: Version) -> tuple[HandlerRule[Body], ...]:
    """Returns the rules of a record that are in force, in the order that they apply."""
    return tuple(rule for rule in RULES if rule.record == record and rule.holds(version))


_TABLES: dict[tuple[str, Version], dict[int, Handler]] = {}


def handlers_of(release: Release, version: Version) -> dict[int, Handler]:
    """Returns a release's handler table by typecode; HEADER and END have none.

    Handlers keep no state: they are made once for a release.
    """
    key = (release.name, version)
    if key not in _TABLES:
        _TABLES[key] = _made(release, version)
    return dict(_TABLES[key])


def _made(release: Release, version: Version) -> dict[int, Handler]:
    table = {}
    for binding in release.bindings:
        if not binding.handler:
            continue
        spec = SPECS.get(binding.name, Spec(binding.name, modelled=False))
        kind = _OWN.get(binding.name, Handler)
        table[binding.typecode] = kind(
            binding,
            spec,
            rules_of(binding.name, version),
            device=DEVICES.holds(version),
            fixup=_FIXUPS.get(binding.name),
        )
    return table
