"""X86_PV_VCPU_MSRS: XEN_DOMCTL_set_vcpu_msrs."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.container.streams.libxc_records import MSR, policy_msrs
from xensave.engine.handlers.msr import DR_MASKS, Msr, dr_mask, misc_features, spec_ctrl
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Undecided
from xensave.engine.pv.basic import NUMBER
from xensave.engine.pv.rule import AUDITED, MSRS, PvRecord, PvRule
from xensave.engine.verdict import Layer
from xensave.records.meaning.cpu.msr import msr_name

_CITE = Cite("arch_do_domctl")

SET_AT_ALL = Dated(
    "PV_MSRS_SET",
    MSRS,
    "the MSRs are set; before, libxc passed none of them on",
    Cite(
        "process_vcpu_msrs",
        "f1a0a8c3fe",
        "tools/libxc: Fix restoration of PV MSRs after migrate",
        "4.10",
    ),
    since=("4.7.5", "4.8.4", "4.9.2", "4.10.0"),
)
COUNTED_ONCE = Dated(
    "PV_MSRS_COUNT",
    MSRS,
    "7 MSRs at most; before, 4 more on a host with DBEXT",
    Cite(
        "arch_do_domctl",
        "c95cd5f9c5",
        "x86/domctl: fix maximum number of MSRs in XEN_DOMCTL_{get,set}_vcpu_msrs",
        "4.20",
    ),
    since=("4.18.4", "4.19.1", "4.20.0"),
)


def tsc_aux(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses TSC_AUX unless the policy has RDTSCP or RDPID, and above 32 bits."""
    if not machine.policy.has("rdtscp") and not machine.policy.has("rdpid"):
        return "the policy has neither RDTSCP nor RDPID"
    return "it has 32 bits" if value >> 32 else None


KNOWN = (
    Msr(
        number=0x48,
        test=spec_ctrl,
        since=("4.7.5", "4.8.4", "4.9.2", "4.10.1", "4.11.0"),
        cite=Cite(
            "arch_do_domctl", "0cf2a4eb76", "x86/migrate: Move MSR_SPEC_CTRL on migrate", "4.11"
        ),
    ),
    Msr(
        number=0x140,
        test=misc_features,
        since=("4.8.4", "4.9.2", "4.10.0"),
        cite=Cite(
            "arch_do_domctl",
            "b90f86be16",
            "x86: Avoid corruption on migrate for vcpus using CPUID Faulting",
            "4.10",
        ),
    ),
    Msr(
        number=0xC0000103,
        test=tsc_aux,
        since=("4.12",),
        cite=Cite(
            "arch_do_domctl",
            "5f5a7a6d36",
            "x86/msr: Handle MSR_TSC_AUX consistently for PV and HVM guests",
            "4.12",
        ),
    ),
    *(
        Msr(
            number=number,
            test=dr_mask,
            since=("4.5",),
            cite=Cite(
                "arch_do_domctl",
                "8c3c9eee0c",
                "x86/domctl: implement XEN_DOMCTL_{get,set}_vcpu_msrs",
                "4.5",
            ),
        )
        for number in DR_MASKS
    ),
)
DATED = (
    AUDITED,
    SET_AT_ALL,
    COUNTED_ONCE,
    *(msr.begins("PV_MSR_VALUE", MSRS) for msr in KNOWN),
)


def whole(record: PvRecord, machine: Machine) -> str | None:
    """Refuses entries that are not whole."""
    have = len(record.content)
    return f"{have} bytes, no multiple of {MSR.size}" if have % MSR.size else None


def count(record: PvRecord, machine: Machine) -> str | None:
    """Refuses more MSRs than a release knows; on hosts with DBEXT some took 4 more."""
    have = len(record.content) // MSR.size
    known = sum(msr.taken(machine) for msr in KNOWN)
    if have <= known:
        return None
    wider = known + len(DR_MASKS)
    if COUNTED_ONCE.holds(machine.version) or have > wider:
        return f"there are {have}, at most {known}"
    if record.guest.host is not None:
        return None if record.guest.host.has("dbext") else f"there are {have}, at most {known}"
    raise Undecided(f"whether the host has DBEXT, for {have} MSRs")


def values(record: PvRecord, machine: Machine) -> str | None:
    """Refuses MSRs that are not known, and values that the policy does not give."""
    for index, flags, value in policy_msrs(record.content):
        wrong = refused_msr(index, flags, value, record.vcpu, machine)
        if wrong is not None:
            return wrong
    return None


def refused_msr(index: int, flags: int, value: int, vcpu: int, machine: Machine) -> str | None:
    """Returns why an MSR is not set in a PV vCPU, None where it is."""
    if flags:
        return f"{_named(index)} has reserved bits {flags:#x}"
    for msr in KNOWN:
        if msr.number == index and msr.taken(machine):
            wrong = msr.test(value, vcpu, machine)
            return f"{_named(index)} is {value:#x}: {wrong}" if wrong else None
    return f"{_named(index)} is not one that is set"


def _named(index: int) -> str:
    return f"MSR {index:#x} ({msr_name(index)})"


RULES = (
    NUMBER._replace(record=MSRS),
    PvRule(
        id="PV_MSRS_WHOLE",
        record=MSRS,
        errno="",
        sentence="entries are whole",
        test=whole,
        layer=Layer.LIBXC,
        cite=AUDITED.cite,
        since=AUDITED.since,
    ),
    PvRule(
        id="PV_MSR_COUNT",
        record=MSRS,
        errno="EINVAL",
        sentence="there are no more than Xen knows",
        test=count,
        cite=COUNTED_ONCE.cite,
        since=SET_AT_ALL.since,
    ),
    PvRule(
        id="PV_MSR_VALUE",
        record=MSRS,
        errno="EINVAL",
        sentence="each MSR is one that the guest may have",
        test=values,
        cite=_CITE,
        since=SET_AT_ALL.since,
    ),
)
