"""CPUID leaves: what the common ones say.

A leaf is leaf, subleaf and the registers a to d, as `xen_cpuid_leaf_t` holds them; a subleaf of
0xffffffff means that the leaf has none. Source: Intel SDM volume 2, CPUID; AMD APM volume 3, E.
"""

from __future__ import annotations

from xensave.records.meaning.bits import XCR0, bit_names
from xensave.records.meaning.cpu.features import feature_tables

NO_SUBLEAF = 0xFFFFFFFF

Registers = tuple[int, int, int, int]


def leaf_meaning(leaf: int, subleaf: int, registers: Registers) -> str:
    """Says what a leaf's registers mean, "" where they are only numbers.

    >>> leaf_meaning(0, NO_SUBLEAF, (0xD, 0x756E6547, 0x6C65746E, 0x49656E69))
    'GenuineIntel, leaves to 0xd'
    >>> leaf_meaning(1, NO_SUBLEAF, (0x60FB1, 0, 0, 0x1))
    'family 15, model 107, stepping 1; FPU'
    """
    a, b, c, d = registers
    words: list[str] = []
    if not any(registers):
        return ""
    if leaf in (0, 0x80000000):
        words.append(f"{_text(b, d, c)}, leaves to {a:#x}")
    elif leaf == 1:
        words.append("family {}, model {}, stepping {}".format(*signature(a)))
    elif leaf & ~0xFF == 0x40000000 and leaf & 0xFF == 0:
        words.append(f"{_text(b, c, d)}, leaves to {a:#x}")
    elif 0x80000002 <= leaf <= 0x80000004:
        words.append(repr(_text(a, b, c, d)))
    elif leaf == 0x80000008:
        words.append(f"{a & 0xFF} physical, {a >> 8 & 0xFF} linear address bits")
    elif leaf == 0xD and subleaf == 0:
        words.append(" ".join(bit_names(a | d << 32, XCR0)))
    names = _features(leaf, 0 if subleaf == NO_SUBLEAF else subleaf, registers)
    return "; ".join([*words, *([" ".join(names)] if names else [])])


def signature(value: int) -> tuple[int, int, int]:
    """Returns family, model and stepping of the signature in leaf 1's a.

    >>> signature(0x806EC)
    (6, 142, 12)
    """
    family, model, stepping = value >> 8 & 15, value >> 4 & 15, value & 15
    if family in (6, 15):
        model |= value >> 12 & 0xF0
    if family == 15:
        family += value >> 20 & 0xFF
    return family, model, stepping


def _features(leaf: int, subleaf: int, registers: Registers) -> list[str]:
    names: list[str] = []
    for register, value in zip("abcd", registers, strict=True):
        table = feature_tables().get((leaf, subleaf, register))
        if table is not None:
            names += bit_names(value, table)
    return names


def _text(*words: int) -> str:
    raw = b"".join(word.to_bytes(4, "little") for word in words)
    return raw.decode("latin-1").strip("\0 ")
