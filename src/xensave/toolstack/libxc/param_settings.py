"""One call of HVMOP_set_param, and what may be wrong with it: the tests of `param_rules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from xensave.catalogue.dates import begun
from xensave.image.facts.guest import PVH
from xensave.toolstack.rule import Restore, Target, Undecided

LMCE = 1
_BASE_FREQ = 1
_LOW_32 = (1 << 32) - 1
_EXCLUDE = "altp2m and nested virtualisation exclude each other"

# (since, the bits of the VIRIDIAN param that a release knows)
_VIRIDIAN_KNOWN = (
    (("4.15",), 0x1FFF),
    (("4.13",), 0x3FF),
    (("4.9",), 0x7F),
    (("4.7",), 0x3F),
    (("4.6",), 0xF),
    (("4.5",), 0x7),
    (("3.3",), 0x1),
)


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
    return next((bits for since, bits in _VIRIDIAN_KNOWN if begun(since, target.version)), 0)


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
