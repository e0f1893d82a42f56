"""The HVM params that libxl sets from a configuration before a stream is read.

Source: hvm_set_conf_params() and hvm_set_viridian_features().
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from xensave.catalogue.dates import Dated, begun
from xensave.catalogue.model import Cite
from xensave.engine.loop.rule import KnownBits, dated_bits
from xensave.image.facts.guest import GuestFacts
from xensave.toolstack.libxl.configured import CONFIG
from xensave.toolstack.rule import Restore, Target

_BASE_FREQ = 1

_VIRIDIAN_SET = Dated(
    "LIBXL_VIRIDIAN_SET",
    CONFIG,
    "libxl sets the configuration's Viridian mask in a restore too",
    Cite(
        "hvm_set_conf_params",
        "25ee478662",
        "tools/libxl: only set viridian flags on new domains",
        "4.15",
    ),
    (),
    ("4.15",),
)
_NESTED_SET = Dated(
    "LIBXL_NESTED_SET",
    CONFIG,
    "libxl sets nested virtualisation as a param; later the domain is made with it",
    Cite(
        "hvm_set_conf_params",
        "f5bdb4aaa1",
        "x86/hvm: Obsolete the use of HVM_PARAM_NESTEDHVM",
        "4.15",
    ),
    (),
    ("4.15",),
)
_SHARED_WITH_PVH = Dated(
    "LIBXL_NESTED_SHARED",
    CONFIG,
    "nested_hvm is a member of b_info, for PVH guests too",
    Cite(
        "libxl__domain_build_info_copy_deprecated",
        "48364fcfcb",
        "libxl: introduce a way to mark fields as deprecated in the idl",
        "4.10",
    ),
    ("4.10",),
)
_ALTP2M_SET = Dated(
    "LIBXL_ALTP2M_SET",
    CONFIG,
    "libxl sets altp2m as a param; later the domain is made with it",
    Cite("hvm_set_conf_params", "0291089f6e", "xen: enable altp2m at create domain domctl", "4.19"),
    ("4.6",),
    ("4.19",),
)
_ALTP2M_MODES = Dated(
    "LIBXL_ALTP2M_MODES",
    CONFIG,
    "altp2m has modes, in a member of b_info",
    Cite(
        "hvm_set_conf_params",
        "c47d1d6873",
        "altp2m: introduce external-only and limited use-cases",
        "4.9",
    ),
    ("4.9",),
)
_MCA_SET = Dated(
    "LIBXL_MCA_SET",
    CONFIG,
    "libxl sets machine check capabilities of a configuration",
    Cite(
        "hvm_set_conf_params",
        "4e731e9707",
        "x86/vmce, tools/libxl: expose LMCE capability in guest MSR_IA32_MCG_CAP",
        "4.10",
    ),
    ("4.10",),
)
_MODES = ("disabled", "mixed", "external", "limited")

# What each enlightenment of a configuration sets in the mask, and since when.
_ENLIGHTENMENTS = {
    "time_ref_count": KnownBits(
        0x4,
        "time_ref_count",
        Cite(
            "hvm_set_viridian_features",
            "88f30bcdb5",
            "x86/viridian: Add partition time reference counter MSR support",
            "4.5",
        ),
        ("4.5",),
    ),
    "reference_tsc": KnownBits(
        0x8,
        "reference_tsc",
        Cite(
            "hvm_set_viridian_features",
            "dd94caca53",
            "x86/viridian: add Partition Reference Time enlightenment",
            "4.6",
        ),
        ("4.6",),
    ),
    "hcall_remote_tlb_flush": KnownBits(
        0x10,
        "hcall_remote_tlb_flush",
        Cite(
            "hvm_set_viridian_features",
            "b38d426ad0",
            "x86/viridian: flush remote tlbs by hypercall",
            "4.7",
        ),
        ("4.7",),
    ),
    "apic_assist": KnownBits(
        0x20,
        "apic_assist",
        Cite(
            "hvm_set_viridian_features",
            "10a674b465",
            "x86/hvm/viridian: enable APIC assist enlightenment",
            "4.7",
        ),
        ("4.7",),
    ),
    "crash_ctl": KnownBits(
        0x40,
        "crash_ctl",
        Cite(
            "hvm_set_viridian_features",
            "9c4555801f",
            "x86/viridian: implement the crash MSRs",
            "4.9",
        ),
        ("4.9",),
    ),
    "synic": KnownBits(
        0x80,
        "synic",
        Cite(
            "hvm_set_viridian_features",
            "a85089d0ef",
            "viridian: add implementation of synthetic interrupt MSRs",
            "4.13",
        ),
        ("4.13",),
    ),
    "stimer": KnownBits(
        0x184,
        "stimer",
        Cite(
            "hvm_set_viridian_features",
            "26fba3c855",
            "viridian: add implementation of synthetic timers",
            "4.13",
        ),
        ("4.13",),
    ),
    "hcall_ipi": KnownBits(
        0x200,
        "hcall_ipi",
        Cite(
            "hvm_set_viridian_features",
            "fda96b7382",
            "viridian: add implementation of the HvSendSyntheticClusterIpi hypercall",
            "4.13",
        ),
        ("4.13",),
    ),
}
# By default on, each since its release has it: the others are to be asked for.
_BY_DEFAULT = ("base", "freq", "time_ref_count", "apic_assist", "crash_ctl")
DATED = (
    _VIRIDIAN_SET,
    _NESTED_SET,
    _SHARED_WITH_PVH,
    _ALTP2M_SET,
    _ALTP2M_MODES,
    _MCA_SET,
    *dated_bits("LIBXL_VIRIDIAN", CONFIG, "viridian", _ENLIGHTENMENTS.values()),
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
        groups |= _by_default(target)
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
    for group, known in _ENLIGHTENMENTS.items():
        mask |= known.bits if group in groups else 0
    return mask


# The order of libxl's enlightenments: a bitmap in the configuration lists their numbers.
_ORDER = ("base", "freq", *_ENLIGHTENMENTS)


def _ordered(groups: set[str]) -> tuple[str, ...]:
    return tuple(group for group in _ORDER if group in groups)


def _names(listed: object, target: Target) -> set[str]:
    """Returns the groups of a bitmap that a release knows; libxl passes over others."""
    numbers = listed if isinstance(listed, list) else []
    names = {_ORDER[each] for each in numbers if each in range(len(_ORDER))}
    return {name for name in names if _is_known(name, target)}


def _is_known(name: str, target: Target) -> bool:
    """Tells whether a release knows a group; the first two are as old as the member."""
    return name not in _ENLIGHTENMENTS or begun(_ENLIGHTENMENTS[name].since, target.version)


def _by_default(target: Target) -> set[str]:
    """Returns the groups that `viridian` alone turns on; there are none before groups are."""
    names = {name for name in _BY_DEFAULT if _is_known(name, target)}
    return names if names & _ENLIGHTENMENTS.keys() else set()


def nested(restore: Restore) -> bool:
    """Tells whether a configuration asks for nested virtualisation, where the release looks.

    Where `_SHARED_WITH_PVH` holds, libxl__domain_build_info_copy_deprecated() takes the older
    member for the newer.
    """
    config = restore.config
    older = config.flag("b_info", "type.hvm", "nested_hvm")
    if not _SHARED_WITH_PVH.holds(restore.target.version):
        return bool(older)
    newer = config.flag("b_info", "nested_hvm")
    return bool(older if newer is None else newer)


def altp2m_mode(restore: Restore) -> int:
    """Returns the number of the mode of altp2m that a configuration asks for; 0 for none."""
    at, config = restore.target.version, restore.config
    if not begun(_ALTP2M_SET.since, at):
        return 0
    mode = str(config.choice("b_info", "altp2m")) if _ALTP2M_MODES.holds(at) else ""
    older = int(bool(config.flag("b_info", "type.hvm", "altp2m")))
    return _MODES.index(mode) if mode in _MODES[1:] else older


def params_set(restore: Restore) -> dict[str, int]:
    """Returns the params that libxl sets from the configuration, in its order."""
    at, config = restore.target.version, restore.config
    result: dict[str, int] = {}
    caps = config.integer("b_info", "type.hvm", "mca_caps") or 0
    # At a negative number libxl gives up, and sets none.
    if _MCA_SET.holds(at) and caps > 0:
        result["MCA_CAP"] = caps
    if _NESTED_SET.holds(at):
        result["NESTEDHVM"] = int(nested(restore))
    if _ALTP2M_SET.holds(at):
        result["ALTP2M"] = altp2m_mode(restore)
    if _VIRIDIAN_SET.holds(at):
        result["VIRIDIAN"] = viridian_mask(restore.facts, restore.target)
    return {name: value for name, value in result.items() if value}
