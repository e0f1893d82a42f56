"""Memory types: PAT entries, and the fixed and variable MTRRs.

Source: Intel SDM volume 3, 12.11 and 12.12.
"""

from __future__ import annotations

_TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
# First address, and size of each of the eight ranges, in the order that Xen saves the MSRs.
_FIXED = (
    (0x00000, 0x10000),
    (0x80000, 0x4000),
    (0xA0000, 0x4000),
    *((0xC0000 + 0x8000 * n, 0x1000) for n in range(8)),
)


def memory_type(value: int) -> str:
    """Names a memory type."""
    return _TYPES.get(value, f"type {value}")


def byte_types(value: int) -> list[str]:
    """Names the eight types of a PAT or of a fixed MTRR, lowest first.

    >>> byte_types(0x0007040600070406)
    ['WB', 'WT', 'UC-', 'UC', 'WB', 'WT', 'UC-', 'UC']
    """
    return [memory_type(value >> 8 * n & 0xFF) for n in range(8)]


def fixed_ranges(index: int, value: int) -> str:
    """Says what types the fixed MTRR of an index gives to its ranges.

    >>> fixed_ranges(1, 0x0606060606060606), fixed_ranges(0, 0x0606060606060000)
    ('0x80000-0x9ffff WB', '0x0-0x1ffff UC, 0x20000-0x7ffff WB')
    """
    if index >= len(_FIXED):
        return ""
    start, size = _FIXED[index]
    runs: list[tuple[int, int, str]] = []
    for n, name in enumerate(byte_types(value)):
        first = start + n * size
        if runs and runs[-1][2] == name:
            runs[-1] = (runs[-1][0], first + size - 1, name)
        else:
            runs.append((first, first + size - 1, name))
    return ", ".join(f"{first:#x}-{last:#x} {name}" for first, last, name in runs)


def variable_half(index: int, value: int) -> str:
    """Says what a variable MTRR's base (even index) or mask (odd index) holds.

    >>> variable_half(0, 0xF0000000), variable_half(1, 0xFF8000000800), variable_half(3, 0)
    ('from 0xf0000000 UC', 'mask 0xff8000000000, valid', 'not valid')
    """
    page = value & ~0xFFF
    if index % 2 == 0:
        return f"from {page:#x} {memory_type(value & 0xFF)}"
    return f"mask {page:#x}, valid" if value >> 11 & 1 else "not valid"
