"""The Viridian mask that libxl makes of a configuration, before a stream is read."""

from __future__ import annotations

from collections.abc import Mapping

from xensave.catalogue.dates import begun
from xensave.image.facts.guest import GuestFacts
from xensave.toolstack.rule import Restore, Target

_BASE_FREQ = 1

_VIRIDIAN_UNTIL = ("4.15",)
"""libxl set the configuration's Viridian mask in a restore too, until 25ee478662 "tools/libxl: only
set viridian flags on new domains" (4.15)."""

# What each enlightenment of a configuration sets in the mask.
_ENLIGHTENMENTS = {
    "time_ref_count": 0x4,
    "reference_tsc": 0x8,
    "hcall_remote_tlb_flush": 0x10,
    "apic_assist": 0x20,
    "crash_ctl": 0x40,
    "synic": 0x80,
    "stimer": 0x184,
    "hcall_ipi": 0x200,
}
_BY_DEFAULT = (
    (("4.9",), ("base", "freq", "time_ref_count", "apic_assist", "crash_ctl")),
    (("4.7",), ("base", "freq", "time_ref_count", "apic_assist")),
    (("4.5",), ("base", "freq", "time_ref_count")),
)


def viridian_mask(facts: GuestFacts, target: Target) -> int:
    """Return the Viridian mask that libxl makes of the configuration; 0 for none."""
    groups: set[object] = set()
    hvm = facts.config.get("b_info", "type.hvm")
    chosen = hvm if isinstance(hvm, Mapping) else {}
    if chosen.get("viridian") == "True":
        groups |= set(next((g for since, g in _BY_DEFAULT if begun(since, target.version)), ()))
    groups |= _names(chosen.get("viridian_enable"))
    groups -= _names(chosen.get("viridian_disable"))
    mask = 0
    if "base" in groups:
        mask |= _BASE_FREQ | (0 if "freq" in groups else 0x2)
    for group, bits in _ENLIGHTENMENTS.items():
        mask |= bits if group in groups else 0
    return mask


# The order of libxl's enlightenments: a bitmap in the configuration lists their numbers.
_ORDER = ("base", "freq", *_ENLIGHTENMENTS)


def _names(listed: object) -> set[object]:
    if not isinstance(listed, list):
        return set()
    return {
        _ORDER[each] if isinstance(each, int) and 0 <= each < len(_ORDER) else each
        for each in listed
        if isinstance(each, (int, str))
    }


def params_set(restore: Restore) -> dict[str, int]:
    """Return the params that libxl sets from the configuration before the stream is read."""
    target = restore.target
    if begun(_VIRIDIAN_UNTIL, target.version):
        return {}
    return {"VIRIDIAN": viridian_mask(restore.facts, target)}
