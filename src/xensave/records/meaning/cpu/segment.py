"""Segment attributes in the packed form that Xen saves, and pending events.

`*_arbytes` holds the attribute bits of a descriptor without the limit between them: bits 0 - 3
type, 4 S, 5 - 6 DPL, 7 P, 8 AVL, 9 L, 10 D/B, 11 G. That is SVM's VMCB form; VMX's access rights
(12 AVL, 13 L, 14 D/B, 15 G, 16 unusable) are converted before they are saved.
Source: xen/arch/x86/include/asm/x86-defns.h and hvm.c of 4.17 (struct segment_register).
"""

from __future__ import annotations

_SYSTEM = {
    1: "16-bit TSS",
    2: "LDT",
    3: "busy 16-bit TSS",
    9: "TSS",
    11: "busy TSS",
}
_EVENTS = {
    0: "external interrupt",
    2: "NMI",
    3: "exception",
    4: "software interrupt",
    5: "privileged software exception",
    6: "software exception",
    7: "other event",
}


def segment_attributes(value: int) -> str:
    """Says what a segment's attributes are.

    >>> segment_attributes(0xA9B), segment_attributes(0xC93)
    ('code R A, DPL 0, P, L, G', 'data W A, DPL 0, P, D/B, G')
    >>> segment_attributes(0x8B), segment_attributes(0)
    ('busy TSS, DPL 0, P', 'unusable')
    """
    if value == 0:
        return "unusable"
    words = [_type(value & 15) if value & 0x10 else _SYSTEM.get(value & 15, f"system {value & 15}")]
    words.append(f"DPL {value >> 5 & 3}")
    words += [
        name
        for bit, name in ((7, "P"), (8, "AVL"), (9, "L"), (10, "D/B"), (11, "G"))
        if value >> bit & 1
    ]
    words += [f"bit {bit}" for bit in range(12, value.bit_length()) if value >> bit & 1]
    return ", ".join(words)


def _type(kind: int) -> str:
    code = kind & 8
    words = ["code" if code else "data"]
    words += ["C" if code else "E"] if kind & 4 else []
    words += ["R" if code else "W"] if kind & 2 else []
    words += ["A"] if kind & 1 else []
    return " ".join(words)


def pending_event(value: int) -> str:
    """Says what event awaits injection: vector 0 - 7, type 8 - 10, error code 11, valid 31.

    >>> pending_event(0x80000030), pending_event(0x80000B0E), pending_event(0)
    ('external interrupt, vector 0x30', 'exception, vector 0xe, with error code', 'none')
    """
    if not value >> 31:
        return "none"
    kind = value >> 8 & 7
    text = f"{_EVENTS.get(kind, f'type {kind}')}, vector {value & 0xFF:#x}"
    return text + (", with error code" if value >> 11 & 1 else "")
