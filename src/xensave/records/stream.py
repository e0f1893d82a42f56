"""The bodies of libxc stream records as layouts, so that they decode as save records do.

`BODIES` has their structs, but for the basic context of a PV vCPU: that is vcpu_guest_context
(xen/include/public/arch-x86/xen.h).

>>> layout = stream_layout("X86_TSC_INFO", 24)
>>> [field.name for field in layout.fields]
['mode', 'khz', 'nsec', 'incarnation', 'reserved']
>>> stream_layout("PAGE_DATA", 4096) is None
True
"""

from __future__ import annotations

from functools import cache

from xensave.catalogue.model import Layout
from xensave.container.streams.libxc_records import BODIES, PAIR, VCPU, VCPU_CONTEXT_SIZES
from xensave.records.overlay import overlay

# X86_PV_VCPU_BASIC of a 64-bit guest ...
_PV64 = (
    f"{VCPU} fpu_ctxt:u8[512] flags:u64 user_regs:regs trap_ctxt:trap[256] ldt_base:u64"
    " ldt_ents:u64 gdt_frames:u64[16] gdt_ents:u64 kernel_ss:u64 kernel_sp:u64 ctrlreg:u64[8]"
    " debugreg:u64[8] event_callback_eip:u64 failsafe_callback_eip:u64 syscall_callback_eip:u64"
    " vm_assist:u64 fs_base:u64 gs_base_kernel:u64 gs_base_user:u64",
    {
        "trap": "vector:u8 flags:u8 cs:u16 address:u64",
        "regs": (
            "r15:u64 r14:u64 r13:u64 r12:u64 rbp:u64 rbx:u64 r11:u64 r10:u64 r9:u64 r8:u64"
            " rax:u64 rcx:u64 rdx:u64 rsi:u64 rdi:u64 error_code:u32 entry_vector:u32 rip:u64"
            " cs:u16 pad0:u16 saved_upcall_mask:u8 pad1:u8[3] rflags:u64 rsp:u64 ss:u16"
            " pad2:u16[3] es:u16 pad3:u16[3] ds:u16 pad4:u16[3] fs:u16 pad5:u16[3] gs:u16"
            " pad6:u16[3]"
        ),
    },
)
# ... and of a 32-bit guest.
_PV32 = (
    f"{VCPU} fpu_ctxt:u8[512] flags:u32 user_regs:regs trap_ctxt:trap[256] ldt_base:u32"
    " ldt_ents:u32 gdt_frames:u32[16] gdt_ents:u32 kernel_ss:u32 kernel_sp:u32 ctrlreg:u32[8]"
    " debugreg:u32[8] event_callback_cs:u32 event_callback_eip:u32 failsafe_callback_cs:u32"
    " failsafe_callback_eip:u32 vm_assist:u32",
    {
        "trap": "vector:u8 flags:u8 cs:u16 address:u32",
        "regs": (
            "ebx:u32 ecx:u32 edx:u32 esi:u32 edi:u32 ebp:u32 eax:u32 error_code:u16"
            " entry_vector:u16 eip:u32 cs:u16 saved_upcall_mask:u8 pad0:u8 eflags:u32 esp:u32"
            " ss:u16 pad1:u16 es:u16 pad2:u16 ds:u16 pad3:u16 fs:u16 pad4:u16 gs:u16 pad5:u16"
        ),
    },
)
_BASIC = "X86_PV_VCPU_BASIC"

FRAME_BITS = 40
"""Bits of a machine frame's number: those of a page-table entry. Linux marks others above them."""

GDT_PER_FRAME = 512
"""Descriptors in a frame of a PV vCPU's GDT."""


@cache
def _make(name: str, bits: int = 0) -> Layout:
    spec, inner = {64: _PV64, 32: _PV32}.get(bits) or BODIES[name]
    types = [overlay(part, fields) for part, fields in inner.items()]
    return overlay(f"{name.lower()}_{bits}" if bits else name.lower(), spec, *types)


def stream_layouts() -> list[Layout]:
    """Returns every layout there is."""
    return [*map(_make, BODIES), _make(_BASIC, 64), _make(_BASIC, 32)]


def stream_layout(name: str, length: int) -> Layout | None:
    """Returns the layout of a libxc record's body of some length, None where it has none.

    A PV vCPU's basic context is that of a 64-bit or of a 32-bit guest, by its length.
    """
    if name == _BASIC:
        return _make(name, 64 if length >= PAIR.size + VCPU_CONTEXT_SIZES[64] else 32)
    return _make(name) if name in BODIES else None


ENTRIES_LIMIT = 1 << 16
"""Bytes of entries (params, CPUID leaves, MSRs) that are taken apart: Xen writes a few KiB."""


def shown_layout(name: str, length: int) -> Layout | None:
    """Returns the layout by which a libxc record is shown and edited, None where it has none.

    Nor has one with more entries than anybody reads: its body is bytes.

    >>> shown_layout("X86_MSR_POLICY", ENTRIES_LIMIT).id
    'x86_msr_policy'
    >>> shown_layout("X86_MSR_POLICY", ENTRIES_LIMIT + 16) is None
    True
    """
    of_entries = name in BODIES and bool(BODIES[name][1])
    return None if of_entries and length > ENTRIES_LIMIT else stream_layout(name, length)


def root_frame(cr3: int, bits: int) -> int:
    """Returns the frame of the page table that a PV vCPU's CR3 names, by its guest's width.

    A 32-bit guest's has the frame number rotated by 12 bits, so that it reaches beyond 4 GiB
    (xen_cr3_to_pfn() in xen/include/public/arch-x86/xen-x86_32.h).

    >>> hex(root_frame(0x12345001, 32)), hex(root_frame(0x12345000, 64))
    ('0x112345', '0x12345')
    """
    return (cr3 >> 12 | cr3 << 20) & 0xFFFFFFFF if bits == 32 else cr3 >> 12


def root_register(frame: int, bits: int) -> int:
    """Returns the CR3 that names a frame: what `root_frame` is of (xen_pfn_to_cr3() there).

    >>> hex(root_register(0x112345, 32)), hex(root_register(0x12345, 64))
    ('0x12345001', '0x12345000')
    """
    return (frame << 12 | frame >> 20) & 0xFFFFFFFF if bits == 32 else frame << 12
