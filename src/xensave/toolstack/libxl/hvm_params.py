"""The HVM params that libxl sets from a configuration before a stream is read.

Source: hvm_set_conf_params() and hvm_set_viridian_features().
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from xensave.catalogue.dates import begun
from xensave.image.facts.guest import GuestFacts
from xensave.toolstack.rule import Restore, Target

_BASE_FREQ = 1

_VIRIDIAN_UNTIL = ("4.15",)
"""libxl set the configuration's Viridian mask in a restore too, until 25ee478662 "tools/libxl: only
set viridian flags on new domains" (4.15)."""
_NESTED_UNTIL = ("4.15",)
_SHARED_WITH_PVH = ("4.10",)
"""Since when nested_hvm is a member of b_info."""
_ALTP2M_SINCE, _ALTP2M_MODES, _ALTP2M_UNTIL = ("4.6",), ("4.9",), ("4.19",)
_MODES = ("disabled", "mixed", "external", "limited")
_MCA_SINCE = ("4.10",)

# What each enlightenment of a configuration sets in the mask, and since when.
_ENLIGHTENMENTS = {
    "time_ref_count": (0x4, ("4.5",)),
    "reference_tsc": (0x8, ("4.6",)),
    "hcall_remote_tlb_flush": (0x10, ("4.7",)),
    "apic_assist": (0x20, ("4.7",)),
    "crash_ctl": (0x40, ("4.9",)),
    "synic": (0x80, ("4.13",)),
    "stimer": (0x184, ("4.13",)),
    "hcall_ipi": (0x200, ("4.13",)),
}
_BY_DEFAULT = (
    (("4.9",), ("base", "freq", "time_ref_count", "apic_assist", "crash_ctl")),
    (("4.7",), ("base", "freq", "time_ref_count", "apic_assist")),
    (("4.5",), ("base", "freq", "time_ref_count")),
)


class ViridianGroups(NamedTuple):
    """Groups of enlightenments that a configuration turns on, and those that it turns on and off.

    Both are in libxl's order.
    """

    on: tuple[str, ...]
    both: tuple[str, ...] = ()


def viridian_groups(facts: GuestFacts, target: Target) -> ViridianGroups:
    """Returns what a release's libxl makes of the Viridian settings of a configuration."""
    hvm = facts.config.get("b_info", "type.hvm")
    chosen = hvm if isinstance(hvm, Mapping) else {}
    groups: set[str] = set()
    if facts.config.flag("b_info", "type.hvm", "viridian"):
        groups |= set(next((g for since, g in _BY_DEFAULT if begun(since, target.version)), ()))
    enabled = _names(chosen.get("viridian_enable"), target)
    disabled = _names(chosen.get("viridian_disable"), target)
    groups = (groups | enabled) - disabled
    return ViridianGroups(_ordered(groups), _ordered(enabled & disabled))


def viridian_mask(facts: GuestFacts, target: Target) -> int:
    """Returns the Viridian mask that libxl makes of the configuration; 0 for none."""
    groups = viridian_groups(facts, target).on
    mask = 0
    if "base" in groups:
        mask |= _BASE_FREQ | (0 if "freq" in groups else 0x2)
    for group, (bits, _) in _ENLIGHTENMENTS.items():
        mask |= bits if group in groups else 0
    return mask


# The order of libxl's enlightenments: a bitmap in the configuration lists their numbers.
_ORDER = ("base", "freq", *_ENLIGHTENMENTS)


def _ordered(groups: set[str]) -> tuple[str, ...]:
    return tuple(group for group in _ORDER if group in groups)


def _names(listed: object, target: Target) -> set[str]:
    """Returns the groups of a bitmap that a release knows; libxl passes over others."""
    numbers = listed if isinstance(listed, list) else []
    names = {_ORDER[each] for each in numbers if each in range(len(_ORDER))}
    return {
        name
        for name in names
        if name not in _ENLIGHTENMENTS or begun(_ENLIGHTENMENTS[name][1], target.version)
    }


def nested(restore: Restore) -> bool:
    """Tells whether a configuration asks for nested virtualisation, where the release looks.

    From 4.10 on libxl__domain_build_info_copy_deprecated() takes the older member for the newer.
    """
    config = restore.config
    older = config.flag("b_info", "type.hvm", "nested_hvm")
    if not begun(_SHARED_WITH_PVH, restore.target.version):
        return bool(older)
    newer = config.flag("b_info", "nested_hvm")
    return bool(older if newer is None else newer)


def altp2m_mode(restore: Restore) -> int:
    """Returns the number of the mode of altp2m that a configuration asks for; 0 for none."""
    at, config = restore.target.version, restore.config
    if not begun(_ALTP2M_SINCE, at):
        return 0
    mode = str(config.choice("b_info", "altp2m")) if begun(_ALTP2M_MODES, at) else ""
    older = int(bool(config.flag("b_info", "type.hvm", "altp2m")))
    return _MODES.index(mode) if mode in _MODES[1:] else older


def params_set(restore: Restore) -> dict[str, int]:
    """Returns the params that libxl sets from the configuration, in its order."""
    at, config = restore.target.version, restore.config
    result: dict[str, int] = {}
    caps = config.integer("b_info", "type.hvm", "mca_caps") or 0
    # At a negative number libxl gives up, and sets none.
    if begun(_MCA_SINCE, at) and caps > 0:
        result["MCA_CAP"] = caps
    if not begun(_NESTED_UNTIL, at):
        result["NESTEDHVM"] = int(nested(restore))
    if not begun(_ALTP2M_UNTIL, at):
        result["ALTP2M"] = altp2m_mode(restore)
    if not begun(_VIRIDIAN_UNTIL, at):
        result["VIRIDIAN"] = viridian_mask(restore.facts, restore.target)
    return {name: value for name, value in result.items() if value}
