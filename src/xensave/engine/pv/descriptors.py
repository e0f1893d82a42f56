"""The pages of a PV guest's GDT, whose every descriptor Xen validates.

A descriptor that is not present is of no harm, nor is one of code or data; of the system's, a call
gate alone is taken, to the guest's own code. Source: check_descriptor() in
xen/arch/x86/pv/descriptor-tables.c, unchanged since 4.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from xensave.engine.pv.memory import PvMemory

_PRESENT, _SEGMENT, _LONG = 1 << 15, 1 << 12, 1 << 21
_TYPE, _CALL_GATE = 0xF00, 0xC00
FIRST_RESERVED = 7168
"""FIRST_RESERVED_GDT_ENTRY: from it on the GDT is Xen's."""

_IN_LDT = 4
# Xen's own selector of kernel code, and what a call gate's reserved bits are, by width.
_KERNEL_CODE = {64: 0xE033, 32: 0xE019}
_RESERVED = {64: 0xFF, 32: 0xE0}


def bad_descriptor(page: bytes, bits: int) -> int | None:
    """Returns the number of the first descriptor in a page that Xen does not take, None for none.

    >>> flat, interrupt_gate = 0x00AFFB000000FFFF, 0x00008E0000000000
    >>> bad_descriptor(flat.to_bytes(8, "little") * 512, 64)
    >>> bad_descriptor((flat.to_bytes(8, "little") + interrupt_gate.to_bytes(8, "little")), 64)
    1
    """
    words = memoryview(page).cast("I")
    for number in range(len(words) // 2):
        if not _taken(words[2 * number], words[2 * number + 1], bits):
            return number
    return None


def _taken(low: int, high: int, bits: int) -> bool:
    if not high & _PRESENT:
        return True
    if high & _SEGMENT:
        return bits == 64 or not high & _LONG
    kind = high & _TYPE
    if kind != _CALL_GATE:
        return kind == 0
    selector = low >> 16
    own = selector >> 3 < FIRST_RESERVED or selector & _IN_LDT
    return bool(own or selector == _KERNEL_CODE[bits]) and not high & _RESERVED[bits]


def wrong_pages(memory: PvMemory, pfns: Iterator[int], bits: int) -> str | None:
    """Returns which page of a GDT Xen does not take, and why."""
    for pfn in pfns:
        number = bad_descriptor(memory.memory.page(pfn), bits)
        if number is not None:
            return f"descriptor {number} of the GDT's page in PFN {pfn:#x}"
    return None
