"""What Xen itself does to older records as it loads them, beyond filling with zeros.

A converted record carries the result, as the newer release would have written it after such a
load. Each is one line of a table, with the commit that brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xensave.catalogue.model import Citation, Layout
from xensave.records.codec import decode, encode
from xensave.records.meaning.bits import FPU_INITIALISED
from xensave.records.values import Value, Values

_FPU = Citation("a3b6844d3b", "x86/hvm: introduce a flags field in the CPU save record", "4.7")
_PENDING = Citation("66bf4ef048", "x86/hvm: re-work viridian APIC assist code", "4.11")


class Fixup(NamedTuple):
    """How a field that the older layout lacks gets its value from the older record's fields."""

    record: str
    field: str
    value: Callable[[Values], Value]
    reason: str
    citation: Citation


VECTORS = ("apic_assist_vector", "vp_assist_vector")
FLAGS = ("vp_assist_pending", "apic_assist_pending")

FIXUPS = (
    Fixup(
        "CPU",
        "flags",
        lambda old: FPU_INITIALISED,
        "older releases always saved an initialised FPU",
        _FPU,
    ),
    *(
        Fixup(
            "VIRIDIAN_VCPU",
            flag,
            lambda old: int(any(old.get(name) for name in VECTORS)),
            "a vector other than 0 was an EOI assist pending",
            _PENDING,
        )
        for flag in FLAGS
    ),
)

DIFFERENT = frozenset((a, b) for a in VECTORS for b in FLAGS) | frozenset(
    (b, a) for a in VECTORS for b in FLAGS
)
"""Fields that share a place and a size in two layouts, and yet mean different things."""


IMPLIED = {
    ("CPU", "flags"): FPU_INITIALISED.to_bytes(4, "little"),
    ("VIRIDIAN_VCPU", "sint_msr"): (1 << 16).to_bytes(8, "little") * 16,
}
"""What a release without the field takes for granted: an initialised FPU; every synthetic
interrupt masked, as after a reset. Such a value is not lost with its field.
"""


def consumed(record: str, new: tuple[str, ...]) -> frozenset[str]:
    """Returns the older fields whose meaning a fix-up carries on: they are not lost."""
    if record == "VIRIDIAN_VCPU" and set(new) & set(FLAGS):
        return frozenset(VECTORS)
    return frozenset()


def fix_up(
    record: str, old: Values, layout: Layout, body: bytes, new: tuple[str, ...]
) -> tuple[bytes, tuple[Fixup, ...]]:
    """Applies the fix-ups for the fields that are new in `layout`; returns the body and which."""
    applied = tuple(fix for fix in FIXUPS if fix.record == record and fix.field in new)
    if not applied:
        return body, ()
    values = decode(layout, body)
    for fix in applied:
        values[fix.field] = fix.value(old)
    return encode(layout, values), applied
