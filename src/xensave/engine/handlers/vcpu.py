"""The smaller records of a vCPU: LAPIC, MTRR, VMCE_VCPU, TSC_ADJUST and Viridian."""

from __future__ import annotations

from xensave.catalogue.model import Cite
from xensave.engine.domain import LAPIC
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import VCPU, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import CHECK, HandlerRule, KnownBits, dated_bits, known_bits, padding

_APIC_EXTD = 1 << 10
_APIC_ENABLE = 1 << 11
_MTRR_VCNT = 8

_MCG_COUNT_AND_CTL = 0x1FF
_MCG_CMCI = 1 << 10
_MCG_TES = 1 << 11
_MCG_SER = 1 << 24
_MCG_LMCE = 1 << 27

_MCG_ANY = KnownBits(
    _MCG_TES | _MCG_SER,
    "TES and SER on every vendor's CPUs",
    Cite(
        "vmce_restore_vcpu",
        "b272353fe9",
        "x86/vMCE: don't advertise features we don't support",
        "4.2",
    ),
    until=("4.3",),
)
_MCG_INTEL = (
    KnownBits(
        _MCG_TES | _MCG_SER | _MCG_CMCI,
        "TES, SER and CMCI but on AMD CPUs",
        Cite("vmce_restore_vcpu", "975b5bdf27", "x86: vMCE emulation", "4.3"),
        ("4.3",),
    ),
    KnownBits(
        _MCG_LMCE,
        "LMCE but on AMD CPUs",
        Cite(
            "vmce_restore_vcpu",
            "4e731e9707",
            "x86/vmce, tools/libxl: expose LMCE capability in guest MSR_IA32_MCG_CAP",
            "4.10",
        ),
        ("4.10",),
    ),
)
DATED = dated_bits("VMCE_CAPS", "VMCE_VCPU", "MCG_CAP", (_MCG_ANY, *_MCG_INTEL))

SPECS = (
    Spec("LAPIC", VCPU, LAPIC),
    Spec("LAPIC_REGS", VCPU, LAPIC),
    Spec("MTRR", VCPU),
    Spec("VIRIDIAN"),
    Spec("VIRIDIAN_DOMAIN"),
    Spec("VIRIDIAN_VCPU", VCPU),
    Spec("VMCE_VCPU", VCPU, entry_errno="EPERM"),
    Spec("TSC_ADJUST", VCPU),
)


def apic_mode(body: Body, machine: Machine) -> str | None:
    """Refuses x2APIC mode of an APIC that is off."""
    base = body["apic_base_msr"]
    if base & (_APIC_ENABLE | _APIC_EXTD) == _APIC_EXTD:
        return f"apic_base_msr is {base:#x}"
    return None


def mtrr_count(body: Body, machine: Machine) -> str | None:
    """Refuses more variable ranges than Xen keeps."""
    count = body["msr_mtrr_cap"] & 0xFF
    return f"there are {count}, at most {_MTRR_VCNT}" if count > _MTRR_VCNT else None


def mca_capabilities(machine: Machine) -> int:
    """Returns the machine check capabilities that Xen gives a guest on this vendor's CPUs."""
    rows = (_MCG_ANY,) if machine.policy.amd else (_MCG_ANY, *_MCG_INTEL)
    return _MCG_COUNT_AND_CTL | known_bits(rows, machine.version)


def mce_caps(body: Body, machine: Machine) -> str | None:
    """Refuses capabilities that Xen does not give a guest on this vendor's CPUs."""
    known = machine.once(mca_capabilities)
    caps = body["caps"]
    return f"caps are {caps:#x}, supported {known:#x}" if caps & ~known else None


RULES = (
    HandlerRule(
        id="LAPIC_MODE",
        record="LAPIC",
        errno="EINVAL",
        sentence="x2APIC mode needs an APIC that is on",
        test=apic_mode,
        cite=Cite(
            "lapic_load_hidden", "f9e0cccf7b", "x86/HVM: fix ID handling of x2APIC emulation", "4.5"
        ),
        since=("4.5",),
        until=("4.20",),
    ),
    HandlerRule(
        id="LAPIC_MODE",
        record="LAPIC",
        errno="EINVAL",
        sentence="x2APIC mode needs an APIC that is on",
        test=apic_mode,
        cite=Cite(
            "lapic_check_hidden",
            "eb48045d74",
            "x86/vlapic: Move lapic migration checks to the check hooks",
            "4.20",
        ),
        since=("4.20",),
        stage=CHECK,
    ),
    HandlerRule(
        id="MTRR_COUNT",
        record="MTRR",
        errno="EINVAL",
        sentence="too many variable ranges",
        test=mtrr_count,
        cite=Cite("hvm_load_mtrr_msr", "76159f10b1", "x86/HVM: improve MTRR load checks", "4.12"),
        since=("4.12",),
    ),
    HandlerRule(
        id="VMCE_CAPS",
        record="VMCE_VCPU",
        errno="EINVAL",
        sentence="unsupported MCA capabilities",
        test=mce_caps,
        cite=Cite(
            "vmce_restore_vcpu", "e1dc98e3c3", "x86/vMCE: save/restore MCA capabilities", "4.2"
        ),
    ),
    HandlerRule(
        id="VIRIDIAN_PAD",
        record="VIRIDIAN_VCPU",
        errno="EINVAL",
        sentence="padding must be zero",
        test=padding("_pad"),
        cite=Cite(
            "viridian_load_vcpu_ctxt",
            "646c312844",
            "x86/hvm/viridian: zero and check vcpu context _pad field",
            "4.7",
        ),
        since=("4.7",),
    ),
)
