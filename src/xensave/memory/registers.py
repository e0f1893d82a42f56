"""The registers of a vCPU that decide what it would do next, and how its addresses translate."""

from __future__ import annotations

from typing import NamedTuple


class Registers(NamedTuple):
    """A vCPU's registers, by the names of the architecture; all are integers.

    `gs_base` is the base in use; `kernel_gs_base` what SWAPGS would load.
    """

    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0
    rsi: int = 0
    rdi: int = 0
    rbp: int = 0
    rsp: int = 0
    r8: int = 0
    r9: int = 0
    r10: int = 0
    r11: int = 0
    r12: int = 0
    r13: int = 0
    r14: int = 0
    r15: int = 0
    rip: int = 0
    rflags: int = 0
    cs: int = 0
    ss: int = 0
    ds: int = 0
    es: int = 0
    fs: int = 0
    gs: int = 0
    cs_base: int = 0
    ss_base: int = 0
    ds_base: int = 0
    es_base: int = 0
    fs_base: int = 0
    gs_base: int = 0
    kernel_gs_base: int = 0
    cr0: int = 0
    cr2: int = 0
    cr3: int = 0
    cr4: int = 0
    efer: int = 0
    dr0: int = 0
    dr1: int = 0
    dr2: int = 0
    dr3: int = 0
    dr6: int = 0
    dr7: int = 0
