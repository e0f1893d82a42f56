"""One call of HVMOP_set_param, and what may be wrong with it: the tests of `param_rules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from xensave.catalogue.model import Cite
from xensave.engine.loop.rule import KnownBits, dated_bits, known_bits
from xensave.image.facts.guest import PVH
from xensave.toolstack.rule import Restore, Target, Undecided

LMCE = 1
_BASE_FREQ = 1
_LOW_32 = (1 << 32) - 1
_EXCLUDE = "altp2m and nested virtualisation exclude each other"

_SET = "hvm_set_param"
_VIRIDIAN_KNOWN = (
    KnownBits(
        0x1,
        "the base MSRs",
        Cite(
            _SET,
            "39f97ffa29",
            "x86, hvm: Hyper-V guest interface support with small set of enlightenments",
            "3.4",
        ),
        ("3.4",),
    ),
    KnownBits(
        0x2,
        "no frequency MSRs",
        Cite(
            _SET,
            "84bfbd5d75",
            "x86/viridian: Re-purpose the HVM parameter to be a feature mask",
            "4.5",
        ),
        ("4.5",),
    ),
    KnownBits(
        0x4,
        "time_ref_count",
        Cite(
            _SET,
            "88f30bcdb5",
            "x86/viridian: Add partition time reference counter MSR support",
            "4.5",
        ),
        ("4.5",),
    ),
    KnownBits(
        0x8,
        "reference_tsc",
        Cite(_SET, "dd94caca53", "x86/viridian: add Partition Reference Time enlightenment", "4.6"),
        ("4.6",),
    ),
    KnownBits(
        0x10,
        "hcall_remote_tlb_flush",
        Cite(_SET, "b38d426ad0", "x86/viridian: flush remote tlbs by hypercall", "4.7"),
        ("4.7",),
    ),
    KnownBits(
        0x20,
        "apic_assist",
        Cite(_SET, "10a674b465", "x86/hvm/viridian: enable APIC assist enlightenment", "4.7"),
        ("4.7",),
    ),
    KnownBits(
        0x40,
        "crash_ctl",
        Cite(_SET, "9c4555801f", "x86/viridian: implement the crash MSRs", "4.9"),
        ("4.9",),
    ),
    KnownBits(
        0x80,
        "synic",
        Cite(
            _SET, "a85089d0ef", "viridian: add implementation of synthetic interrupt MSRs", "4.13"
        ),
        ("4.13",),
    ),
    KnownBits(
        0x100,
        "stimer",
        Cite(_SET, "26fba3c855", "viridian: add implementation of synthetic timers", "4.13"),
        ("4.13",),
    ),
    KnownBits(
        0x200,
        "hcall_ipi",
        Cite(
            _SET,
            "fda96b7382",
            "viridian: add implementation of the HvSendSyntheticClusterIpi hypercall",
            "4.13",
        ),
        ("4.13",),
    ),
    KnownBits(
        0x400,
        "ex_processor_masks",
        Cite(
            _SET,
            "948719f3bf",
            "viridian: add a new '_HVMPV_ex_processor_masks' bit into HVM_PARAM_VIRIDIAN...",
            "4.15",
        ),
        ("4.15",),
    ),
    KnownBits(
        0x800,
        "no_vp_limit",
        Cite(_SET, "9835246710", "viridian: remove implicit limit of 64 VPs per partition", "4.15"),
        ("4.15",),
    ),
    KnownBits(
        0x1000,
        "cpu_hotplug",
        Cite(_SET, "7e5cffcd1e", "viridian: allow vCPU hotplug for Windows VMs", "4.15"),
        ("4.15",),
    ),
)
DATED = dated_bits("PARAM_VIRIDIAN", "libxc HVM_PARAMS", "VIRIDIAN", _VIRIDIAN_KNOWN)


class ParamSetting(NamedTuple):
    """One call of HVMOP_set_param: the param's value, what it was before, and the restore.

    `params` are those that have been set, by name.
    """

    value: int
    before: int
    restore: Restore
    params: Mapping[str, int] = MappingProxyType({})


Refuses = Callable[[ParamSetting], str]
"""What is wrong with a setting, "" for nothing. Raises Undecided where only the host tells."""


def unless(test: Callable[[int], bool], says: str) -> Refuses:
    """Returns what refuses a setting whose value fails a test, and says so."""

    def refuses(setting: ParamSetting) -> str:
        return "" if test(setting.value) else says

    return refuses


def viridian_features(target: Target) -> int:
    """Returns the bits of the VIRIDIAN param that a release knows."""
    return known_bits(_VIRIDIAN_KNOWN, target.version)


def changed(setting: ParamSetting) -> str:
    """Refuses to change a param that was set before."""
    if setting.before and setting.value != setting.before:
        return f"it is {setting.before:#x} already"
    return ""


def viridian(setting: ParamSetting) -> str:
    """Refuses features that the release does not know, and any without the base MSRs."""
    known = viridian_features(setting.restore.target)
    if setting.value & ~known:
        return f"Xen {setting.restore.target.name} knows the features {known:#x}"
    if not setting.value & _BASE_FREQ:
        return "the base and frequency MSRs must be among the features"
    return ""


def acpi_ioports_cut(setting: ParamSetting) -> str:
    """Refuses a location of which 32 bits are neither 0 nor 1."""
    low = setting._replace(value=setting.value & _LOW_32, before=setting.before & _LOW_32)
    return acpi_ioports(low)


def acpi_ioports(setting: ParamSetting) -> str:
    """Refuses a location that is neither 0 nor 1."""
    if setting.value != setting.before and setting.value ^ setting.before != 1:
        return "the location is 0 or 1"
    return ""


def pm_timer(setting: ParamSetting) -> str:
    """Refuses the location of a PM timer that the domain has not."""
    return "the domain has no PM timer" if setting.restore.facts.type == PVH else ""


def nested_altp2m(setting: ParamSetting) -> str:
    """Refuses altp2m of a domain that is made for nested virtualisation."""
    nested = setting.restore.config.flag("b_info", "nested_hvm")
    return _EXCLUDE if setting.value and nested else ""


def after(other: str) -> Refuses:
    """Returns what refuses a param that is set where another has been."""
    return lambda setting: _EXCLUDE if setting.value and setting.params.get(other) else ""


def nested_shadow(setting: ParamSetting) -> str:
    """Refuses nested virtualisation of a domain with shadow paging."""
    shadow = setting.restore.config.flag("c_info", "hap") is False
    return "the domain has shadow paging" if setting.value and shadow else ""


def nested_shadow_amd(setting: ParamSetting) -> str:
    """Refuses it on CPUs of AMD's only."""
    wrong = nested_shadow(setting)
    if wrong and setting.restore.on_amd is None:
        raise Undecided(f"whether the host's CPU is AMD's: {wrong}")
    return wrong if setting.restore.on_amd else ""


def lmce(setting: ParamSetting) -> str:
    """Refuses LMCE on CPUs without it; on Intel's the host decides."""
    if not setting.value & LMCE:
        return ""
    if setting.restore.on_amd:
        return "CPUs of this vendor have no local machine checks"
    raise Undecided("whether the host's CPU has local machine checks (MCA_CAP)")
