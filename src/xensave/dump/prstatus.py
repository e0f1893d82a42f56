"""Registers as core files hold them: Linux's NT_PRSTATUS, and Xen's vcpu_guest_context."""

from __future__ import annotations

import struct

from xensave.dump.elf_structs import note
from xensave.image import Image
from xensave.memory.registers import Registers

NT_PRSTATUS = 1
PRSTATUS_SIZE = 336
_PID_AT = 32
_REGISTERS_AT = 112
_MASK = (1 << 64) - 1

# The order of struct user_regs_struct (arch/x86/include/asm/user_64.h of Linux).
_ORDER = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8"),
    *("rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
    *("fs_base", "gs_base", "ds", "es", "fs", "gs"),
)


def prstatus(number: int, registers: Registers) -> bytes:
    """Returns a vCPU's NT_PRSTATUS note.

    Its pid is the vCPU's number and one: to gdb no thread has the number 0.
    """
    fields = {**registers._asdict(), "orig_rax": _MASK}
    body = bytearray(PRSTATUS_SIZE)
    struct.pack_into("<I", body, _PID_AT, number + 1)
    words = [int(fields[name]) & _MASK for name in _ORDER]
    struct.pack_into(f"<{len(words)}Q", body, _REGISTERS_AT, *words)
    return note(b"CORE", NT_PRSTATUS, bytes(body))


def all_prstatus(image: Image) -> bytes:
    """Returns the notes of every vCPU whose registers were saved."""
    return b"".join(prstatus(number, image.vcpu(number).registers) for number in image.vcpu_numbers)
