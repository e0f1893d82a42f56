"""The interrupt controllers: LAPIC registers by name, IOAPIC entries, interrupt lines."""

from __future__ import annotations

from xensave.records.overlay import overlay

_DELIVERY = ("fixed", "lowest priority", "SMI", "reserved 3", "NMI", "INIT", "SIPI", "ExtINT")
_LVT = ("LVT_TIMER", "LVT_THERMAL", "LVT_PMC", "LVT_LINT0", "LVT_LINT1", "LVT_ERROR", "LVT_CMCI")

# Intel SDM volume 3, 11.4.1: the registers of the page by their offset.
LAPIC_PAGE = overlay(
    "lapic_page",
    "ID:u32@0x20 VERSION:u32@0x30 TPR:u32@0x80 APR:u32@0x90 PPR:u32@0xa0 EOI:u32@0xb0"
    " RRD:u32@0xc0 LDR:u32@0xd0 DFR:u32@0xe0 SVR:u32@0xf0 "
    + " ".join(
        f"{name}{n}:u32@{start + 16 * n:#x}"
        for name, start in (("ISR", 0x100), ("TMR", 0x180), ("IRR", 0x200))
        for n in range(8)
    )
    + " ESR:u32@0x280 LVT_CMCI:u32@0x2f0 ICR:u32@0x300 ICR2:u32@0x310 LVT_TIMER:u32@0x320"
    " LVT_THERMAL:u32@0x330 LVT_PMC:u32@0x340 LVT_LINT0:u32@0x350 LVT_LINT1:u32@0x360"
    " LVT_ERROR:u32@0x370 TIMER_INITIAL:u32@0x380 TIMER_CURRENT:u32@0x390 TIMER_DIVIDE:u32@0x3e0",
    size=1024,
)


def lapic_register(name: str, value: int) -> str:
    """Says what a LAPIC register holds, "" where the number says it all.

    >>> lapic_register("LVT_LINT0", 0x10700), lapic_register("IRR1", 0x10001)
    ('ExtINT, masked', 'vectors 0x20 0x30')
    """
    if name in _LVT:
        return _lvt(name, value)
    if name[:3] in ("ISR", "TMR", "IRR"):
        base = 32 * int(name[3:])
        return " ".join(
            (["vectors"] if value else [])
            + [f"{base + bit:#x}" for bit in range(32) if value >> bit & 1]
        )
    if name == "SVR":
        return f"vector {value & 0xFF:#x}, {'enabled' if value >> 8 & 1 else 'disabled'}"
    if name == "ICR":
        return f"vector {value & 0xFF:#x}, {_DELIVERY[value >> 8 & 7]}"
    if name == "TIMER_DIVIDE":
        return divide_by(value)
    return ""


def _lvt(name: str, value: int) -> str:
    words = [] if _DELIVERY[value >> 8 & 7] == "ExtINT" else [f"vector {value & 0xFF:#x}"]
    if name == "LVT_TIMER":
        words.append(("one-shot", "periodic", "TSC-deadline", "reserved mode")[value >> 17 & 3])
    else:
        words.append(_DELIVERY[value >> 8 & 7])
    if name in ("LVT_LINT0", "LVT_LINT1"):
        words += ["active low"] if value >> 13 & 1 else []
        words += ["level"] if value >> 15 & 1 else []
    words += ["pending"] if value >> 12 & 1 else []
    words += ["masked"] if value >> 16 & 1 else []
    return ", ".join(words)


def redirection_entry(value: int) -> str:
    """Says where an IOAPIC pin goes.

    >>> redirection_entry(0x10000)
    'masked'
    >>> redirection_entry(0x0100000000000931)
    'vector 0x31, lowest priority, logical destination 0x1'
    """
    words = [
        f"vector {value & 0xFF:#x}",
        _DELIVERY[value >> 8 & 7],
        f"{'logical' if value >> 11 & 1 else 'physical'} destination {value >> 56:#x}",
    ]
    words += [
        name
        for bit, name in (
            (12, "pending"),
            (13, "active low"),
            (14, "remote IRR"),
            (15, "level"),
            (16, "masked"),
        )
        if value >> bit & 1
    ]
    return "masked" if value == 0x10000 else ", ".join(words)


def irq_lines(value: int, base: int = 0) -> str:
    """Names the lines of a mask that are set.

    >>> irq_lines(0b1010), irq_lines(0)
    ('IRQ 1 3', '')
    """
    lines = [str(base + bit) for bit in range(value.bit_length()) if value >> bit & 1]
    return " ".join(["IRQ", *lines]) if lines else ""


def pci_wires(value: int, base: int = 0) -> str:
    """Names the PCI devices whose INTx wires are asserted: bit device * 4 + INTx.

    >>> pci_wires(1 << 13)
    'device 3 INTB'
    """
    bits = [base + bit for bit in range(value.bit_length()) if value >> bit & 1]
    return ", ".join(f"device {bit // 4} INT{'ABCD'[bit % 4]}" for bit in bits)


def divide_by(value: int) -> str:
    """Says what the LAPIC timer's divide configuration register divides by.

    >>> divide_by(0), divide_by(0xB)
    ('divide by 2', 'divide by 1')
    """
    code = (value & 3) | (value >> 1 & 4)
    return f"divide by {1 << ((code + 1) & 7)}"
