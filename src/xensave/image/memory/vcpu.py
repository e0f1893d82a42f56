"""A saved vCPU: its registers, and the virtual memory that it sees."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property

from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.container.streams.libxc_records import PAIR, VcpuBlob
from xensave.context import ContextRecord
from xensave.image.tally import BufferedRecord
from xensave.memory.address_space import AddressSpace
from xensave.memory.paging import CR0_PG, CR4_PAE, EFER_LMA, paging_mode
from xensave.memory.physical import Memory
from xensave.memory.registers import Registers
from xensave.records.codec import decode
from xensave.records.stream import root_frame, stream_layout
from xensave.records.values import Values, get, integer, octets

_PTI_USER = 1 << 12

VCPU_BASIC = libxc.RECORDS[libxc.X86_PV_VCPU_BASIC]

# Registers whose field in the CPU record has another name.
_HVM_NAMES = {
    **{name: f"{name}_sel" for name in ("cs", "ss", "ds", "es", "fs", "gs")},
    "kernel_gs_base": "shadow_gs",
    "efer": "msr_efer",
}
_PV_ALWAYS = {"cr0": CR0_PG, "cr4": CR4_PAE}
"""Xen runs every PV guest with these, whatever the record says."""

VGCF_IN_KERNEL = 1 << 2


class Vcpu(AddressSpace):
    """A vCPU of an image: `registers`, and reads by virtual address (`read`, `translate`).

    `fpu` is its FXSAVE area of 512 bytes: the x87 and SSE registers.
    """

    def __init__(
        self,
        number: int,
        registers: Registers,
        memory: Memory,
        cr3: int,
        fpu: bytes = b"",
        *,
        kernel_cr3: int | None = None,
    ) -> None:
        super().__init__(memory, paging_mode(registers), cr3)
        self.number = number
        self.registers = registers
        self.fpu = fpu
        self._kernel_cr3 = kernel_cr3

    @cached_property
    def kernel_space(self) -> AddressSpace:
        """The address space in which the guest's kernel is mapped: mostly the vCPU's own.

        A vCPU in user mode may have tables that lack the kernel: those of a 64-bit PV guest, which
        names both, and of a Linux with page-table isolation, whose kernel's root lies in the page
        before (PTI_USER_PGTABLE_BIT in arch/x86/include/asm/pgtable.h). Both map the same user
        addresses.
        """
        root = self._kernel_cr3
        if root is None and self.mode.canonical and self.cr3 & _PTI_USER:
            root = self.cr3 & ~_PTI_USER
            if not self._same_user_half(root):
                root = None
        return self if root in {None, self.cr3} else AddressSpace(self.memory, self.mode, root)

    @property
    def spaces(self) -> tuple[AddressSpace, ...]:
        """Its own address space, and that of the kernel where it is another."""
        own = self.kernel_space is self
        return (self,) if own else (self, self.kernel_space)

    def _same_user_half(self, root: int) -> bool:
        mask = self.mode.root_mask
        try:
            halves = [self.memory.read(at & mask, PAGE_SIZE // 2) for at in (self.cr3, root)]
        except LookupError:
            return False
        own, other = (
            [word & mask for (word,) in struct.iter_unpack("<Q", half)] for half in halves
        )
        return any(own) and own == other


def pv_bodies(records: Sequence[BufferedRecord]) -> dict[int, bytes]:
    """Returns the X86_PV_VCPU_BASIC of each vCPU by its number; the last of several counts."""
    whole = (record.body for record in records if len(record.body) >= PAIR.size)
    return {pv_number(body): body for body in whole}


def hvm_vcpu(record: ContextRecord, memory: Memory) -> Vcpu:
    """Returns the vCPU of a CPU record of an HVM context."""
    registers = hvm_registers(record)
    fpu = record.octets("fpu_regs")
    return Vcpu(record.instance, registers, memory, registers.cr3, fpu)


def pv_vcpu(body: bytes, memory: Memory) -> Vcpu:
    """Returns the vCPU of an X86_PV_VCPU_BASIC record."""
    context = pv_context(body)
    registers = pv_registers(context)
    fpu = octets(context, "fpu_ctxt")
    root = pv_root(context, registers)
    kernel = integer(context, "ctrlreg[3]") if registers.efer & EFER_LMA else root
    return Vcpu(pv_number(body), registers, memory, root, fpu, kernel_cr3=kernel)


def hvm_registers(record: ContextRecord) -> Registers:
    """Returns the registers of a CPU record of an HVM context."""
    return Registers(
        **{name: record.integer(_HVM_NAMES.get(name, name)) for name in Registers._fields}
    )


def pv_context(body: bytes) -> Values:
    """Returns the fields of an X86_PV_VCPU_BASIC record: vcpu_guest_context of the guest's width.

    Raises Truncated for a body that is shorter than either.
    """
    layout = stream_layout(VCPU_BASIC, len(body))
    assert layout is not None, VCPU_BASIC
    return decode(layout, body)


def pv_number(body: bytes) -> int:
    """Returns which vCPU an X86_PV_VCPU_BASIC record is of."""
    return VcpuBlob.parse(body).vcpu_id


def pv_registers(context: Values) -> Registers:
    """Returns the registers in a PV vCPU's context.

    A 64-bit guest's kernel and its user mode have an address space each; the registers name that
    of the mode which the vCPU was in (struct vcpu_guest_context, VGCF_in_kernel, ctrlreg[1]).
    """
    saved = get(context, "user_regs")
    assert isinstance(saved, dict), "the layout has them"
    wide = "rax" in saved
    names = {name: name if wide else _narrow(name) for name in Registers._fields}
    values = {name: integer(saved, field) for name, field in names.items() if field in saved}
    controls = {f"cr{n}": integer(context, f"ctrlreg[{n}]") for n in (0, 2, 3, 4)}
    for name, bits in _PV_ALWAYS.items():
        controls[name] |= bits
    debug = {f"dr{n}": integer(context, f"debugreg[{n}]") for n in (0, 1, 2, 3, 6, 7)}
    if not wide:
        return Registers(**values, **controls, **debug)
    kernel = bool(integer(context, "flags") & VGCF_IN_KERNEL)
    user_root = integer(context, "ctrlreg[1]")
    if not kernel and user_root & 1:
        controls["cr3"] = user_root & ~0xFFF
    bases = [integer(context, f"gs_base_{name}") for name in ("kernel", "user")]
    gs_base, other = bases if kernel else bases[::-1]
    return Registers(
        **values,
        **controls,
        **debug,
        efer=EFER_LMA,
        fs_base=integer(context, "fs_base"),
        gs_base=gs_base,
        kernel_gs_base=other,
    )


def pv_root(context: Values, registers: Registers) -> int:
    """Returns the physical address of a PV vCPU's root table."""
    if registers.efer & EFER_LMA:
        return registers.cr3
    return root_frame(registers.cr3, 32) << PAGE_SHIFT


def _narrow(name: str) -> str:
    return f"e{name[1:]}" if name.startswith("r") else name
