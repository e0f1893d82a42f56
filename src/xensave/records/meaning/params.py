"""HVM params: their names, and what their values say.

Source: xen/include/public/hvm/params.h.
"""

from __future__ import annotations

from xensave import catalogue
from xensave.records.meaning.bits import bit_names
from xensave.records.meaning.viridian import GROUPS

_TIMER_MODES = (
    "delay for missed ticks",
    "no delay for missed ticks",
    "no missed ticks pending",
    "one missed tick pending",
)
_CALLBACK_TYPES = ("GSI", "PCI INTx", "vector")


def param_name(index: int) -> str:
    """Returns the name of an HVM param, "param N" where it has none."""
    name = catalogue.space("hvm-param").name_of(index)
    return name or f"param {index}"


def param_meaning(index: int, value: int) -> str:
    """Says what a param's value means, "" where it is only a number.

    >>> param_meaning(0, 0x0200_0000_0000_00F3), param_meaning(10, 1)
    ('vector 0xf3', 'no delay for missed ticks')
    """
    name = param_name(index)
    if name == "CALLBACK_IRQ":
        kind = value >> 56
        if kind < len(_CALLBACK_TYPES) and value:
            return f"{_CALLBACK_TYPES[kind]} {value & (1 << 56) - 1:#x}"
    if name == "VIRIDIAN":
        return " ".join(bit_names(value, GROUPS))
    if name == "TIMER_MODE" and value < len(_TIMER_MODES):
        return _TIMER_MODES[value]
    return ""
