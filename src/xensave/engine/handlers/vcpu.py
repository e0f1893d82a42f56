"""The smaller records of a vCPU: LAPIC, MTRR, VMCE_VCPU, TSC_ADJUST and Viridian."""

from __future__ import annotations

from xensave.catalogue.errnos import EINVAL, EPERM
from xensave.engine.dated import cites
from xensave.engine.dated.rule import CHECK, Rule
from xensave.engine.domain import LAPIC
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import VCPU, Spec
from xensave.engine.loop.machine import Machine

_APIC_EXTD = 1 << 10
_APIC_ENABLE = 1 << 11
_MTRR_VCNT = 8

_MCG_COUNT_AND_CTL = 0x1FF
_MCG_CMCI = 1 << 10
_MCG_TES = 1 << 11
_MCG_SER = 1 << 24
_MCG_LMCE = 1 << 27

_LAPIC_CHECKED = ("4.20",)

SPECS = (
    Spec("LAPIC", VCPU, LAPIC),
    Spec("LAPIC_REGS", VCPU, LAPIC),
    Spec("MTRR", VCPU),
    Spec("VIRIDIAN"),
    Spec("VIRIDIAN_DOMAIN"),
    Spec("VIRIDIAN_VCPU", VCPU),
    Spec("VMCE_VCPU", VCPU, entry_errno=EPERM),
    Spec("TSC_ADJUST", VCPU),
)


def apic_mode(body: Body, machine: Machine) -> str | None:
    """Refuse x2APIC mode of an APIC that is off."""
    base = body["apic_base_msr"]
    if base & (_APIC_ENABLE | _APIC_EXTD) == _APIC_EXTD:
        return f"apic_base_msr is {base:#x}"
    return None


def mtrr_count(body: Body, machine: Machine) -> str | None:
    """Refuse more variable ranges than Xen keeps."""
    count = body["msr_mtrr_cap"] & 0xFF
    return f"there are {count}, at most {_MTRR_VCNT}" if count > _MTRR_VCNT else None


def mca_capabilities(machine: Machine) -> int:
    """Return the machine check capabilities that Xen gives a guest on this vendor's CPUs."""
    known = _MCG_COUNT_AND_CTL
    version = machine.version
    if version < (4, 3):
        known |= _MCG_TES | _MCG_SER
    elif not machine.policy.amd:
        known |= _MCG_TES | _MCG_SER | _MCG_CMCI
        if version >= (4, 10):
            known |= _MCG_LMCE
    return known


def mce_caps(body: Body, machine: Machine) -> str | None:
    """Refuse capabilities that Xen does not give a guest on this vendor's CPUs."""
    known = mca_capabilities(machine)
    caps = body["caps"]
    return f"caps are {caps:#x}, supported {known:#x}" if caps & ~known else None


def viridian_padding(body: Body, machine: Machine) -> str | None:
    """Refuse padding that is not zero."""
    return f"_pad is {body.octets('_pad').hex()}" if body["_pad"] else None


_MODE = "x2APIC mode needs an APIC that is on"

RULES = (
    Rule(
        "LAPIC_MODE",
        "LAPIC",
        EINVAL,
        _MODE,
        apic_mode,
        cites.LAPIC_LOAD,
        ("4.5",),
        _LAPIC_CHECKED,
    ),
    Rule(
        "LAPIC_MODE",
        "LAPIC",
        EINVAL,
        _MODE,
        apic_mode,
        cites.LAPIC_CHECK,
        _LAPIC_CHECKED,
        stage=CHECK,
    ),
    Rule(
        "MTRR_COUNT",
        "MTRR",
        EINVAL,
        "too many variable ranges",
        mtrr_count,
        cites.MTRR_COUNT,
        ("4.12",),
    ),
    Rule(
        "VMCE_CAPS",
        "VMCE_VCPU",
        EINVAL,
        "unsupported MCA capabilities",
        mce_caps,
        cites.VMCE_CAPS,
    ),
    Rule(
        "VIRIDIAN_PAD",
        "VIRIDIAN_VCPU",
        EINVAL,
        "padding must be zero",
        viridian_padding,
        cites.VIRIDIAN_PAD,
        ("4.7",),
    ),
)
