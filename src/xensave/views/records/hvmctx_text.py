"""What xen-hvmctx of Xen 4.17 prints of each record it knows, as templates.

A hole is `{path:form}`; `xensave.views.records.hvmctx` says what the forms are. The numbers are
facts of that tool's output (tools/misc/xen-hvmctx.c, RELEASE-4.17.7), oddities and all: it labels
DS as ES and ES as DS, and leaves out the third channel of the PIT.
"""

from __future__ import annotations


def _pairs(names: str) -> str:
    """Two 64-bit registers a line, their names right-aligned as the tool has them."""
    words = names.split()
    rows = zip(words[::2], words[1::2], strict=True)
    return "\n".join(f"{a:>15} 0x{{{a}:16}}  {b:>6} 0x{{{b}:16}}" for a, b in rows).lstrip()


def _segment(label: str, register: str, digits: int) -> str:
    base, limit = f"{{{register}_base:#18.8}}", f"{{{register}_limit:#10.{digits}}}"
    selector, rights = f"{{{register}_sel:#6.4}}", f"{{{register}_arbytes:#7.4}}"
    return f"{label:>15} {selector} ({base} + {limit} / {rights})\n"


def _table(register: str) -> str:
    base, limit = f"{{{register}_base:#18.8}}", f"{{{register}_limit:#10.4}}"
    return f"{register:>15}        ({base} + {limit})\n"


_CPU = (
    "    CPU:    "
    + _pairs(
        "rax rbx rcx rdx rbp rsi rdi rsp r8 r9 r10 r11 r12 r13 r14 r15"
        " rip rflags cr0 cr2 cr3 cr4 dr0 dr1 dr2 dr3 dr6 dr7"
    )
    + "\n"
    + "".join(
        _segment(label, register, digits)
        for label, register, digits in (
            ("cs", "cs", 8),
            ("es", "ds", 8),
            ("ds", "es", 8),
            ("fs", "fs", 8),
            ("gs", "gs", 8),
            ("ss", "ss", 8),
            ("tr", "tr", 4),
            ("ldtr", "ldtr", 4),
        )
    )
    + _table("idtr")
    + _table("gdtr")
    + "    sysenter cs 0x{sysenter_cs:8}  eip 0x{sysenter_eip:16}  esp 0x{sysenter_esp:16}\n"
    + "      shadow gs {shadow_gs:#18.16}   efer {msr_efer:#18.8}\n"
    + "          lstar {msr_lstar:#18.16}  cstar {msr_cstar:#18.16}\n"
    + "           star {msr_star:#18.16} sfmask {msr_syscall_mask:#18.8}\n"
    + "            tsc 0x{tsc:16}\n"
    + "          event 0x{pending_event:8} error 0x{error_code:8}\n"
)

FPU = (
    "    FPU:    fcw 0x{fcw:4} fsw 0x{fsw:4}\n"
    + "            ftw 0x{ftw:2} (0x{reserved0:2}) fop 0x{fop:4}\n"
    + "          fpuip 0x{fip:16} fpudp 0x{fdp:16}\n"
    + "          mxcsr 0x{mxcsr:8} mask 0x{mxcsr_mask:8}\n"
    + "".join(
        f"            mm{i} 0x{{st[{i}].exponent:4}}{{st[{i}].significand:16}}"
        f" (0x{{st[{i}].reserved[2]:4}}{{st[{i}].reserved[1]:4}}{{st[{i}].reserved[0]:4}})\n"
        for i in range(8)
    )
    + "".join(f"          xmm{i:02} 0x{{xmm[{i}].high:16}}{{xmm[{i}].low:16}}\n" for i in range(16))
    + "".join(
        f"               (0x{{reserved1[{2 * i + 1}]:16}}{{reserved1[{2 * i}]:16}})\n"
        for i in range(6)
    )
)

_PIT_CHANNEL = (
    "         ch I: count {channels[I].count:#}, latched_count {channels[I].latched_count:#},"
    " count_latched {channels[I].count_latched:d}\n"
    "               status {channels[I].status:#}, status_latched {channels[I].status_latched:#}\n"
    "               rd_state {channels[I].read_state:#}, wr_state {channels[I].write_state:#},"
    " wr_latch {channels[I].write_latch:#}, rw_mode {channels[I].rw_mode:#}\n"
    "               mode {channels[I].mode:#}, bcd {channels[I].bcd:#},"
    " gate {channels[I].gate:#}\n"
)

_HPET_TIMER = (
    "          timerI config {timers[I].config:#18.16} cmp {timers[I].cmp:#18.8}\n"
    "          timerI period {period[I]:#18.8} fsb {timers[I].fsb:#18.8}\n"
)

LINES: dict[str, str] = {
    "HEADER": (
        "     Header: magic {magic:#}, version {version:d}\n"
        "             Xen changeset {changeset:}\n"
        "             CPUID[0][%eax] 0x{cpuid:8}\n"
        "             gtsc_khz {gtsc_khz:d}\n"
    ),
    "CPU": _CPU,
    "PIC": (
        "    PIC: IRQ base {irq_base:#}, irr {irr:#}, imr {imr:#}, isr {isr:#}\n"
        "         init_state {init_state:d}, priority_add {priority_add:d},"
        " readsel_isr {readsel_isr:d}, poll {poll:d}\n"
        "         auto_eoi {auto_eoi:d}, rotate_on_auto_eoi {rotate_on_auto_eoi:d}\n"
        "         special_fully_nested_mode {special_fully_nested_mode:d},"
        " special_mask_mode {special_mask_mode:d}\n"
        "         is_master {is_master:d}, elcr {elcr:#}, int_output {int_output:#}\n"
    ),
    "IOAPIC": (
        "    IOAPIC: base_address {base_address:#}, ioregsel {ioregsel:#} id {id:#}\n"
        + "".join(f"            pin {i:02}: 0x{{redirtbl[{i}].bits:16}}\n" for i in range(48))
    ),
    "LAPIC": (
        "    LAPIC: base_msr {apic_base_msr:#}, disabled {disabled:#},"
        " timer_divisor {timer_divisor:#}\n"
    ),
    "LAPIC_REGS": "    LAPIC registers:\n"
    + "".join(
        f"          0x{16 * i:03x}: 0x{{page[{i}]:8}}"
        f"   0x{16 * i + 16:03x}: 0x{{page[{i + 1}]:8}}\n"
        for i in range(0, 64, 2)
    ),
    "PCI_IRQ": "    PCI IRQs: 0x{pad[0]:16}{pad[1]:16}\n",
    "ISA_IRQ": "    ISA IRQs: 0x{pad[0]:4}\n",
    "PCI_LINK": "    PCI LINK: {route[0]:d} {route[1]:d} {route[2]:d} {route[3]:d}\n",
    "PIT": "    PIT: speaker {speaker_data_on:off|on}\n"
    + "".join(_PIT_CHANNEL.replace("ch I", f"ch {i}").replace("[I]", f"[{i}]") for i in range(2)),
    "RTC": (
        "    RTC: regs"
        + "".join(f" 0x{{cmos_data[{i}]:2}}" for i in range(8))
        + "\n             "
        + "".join(f" 0x{{cmos_data[{i}]:2}}" for i in range(8, 14))
        + ", index 0x{cmos_index:2}\n"
    ),
    "HPET": (
        "    HPET: capability {capability:#} config {config:#}\n"
        "          isr {isr:#} counter {mc64:#}\n"
        + "".join(
            _HPET_TIMER.replace("timerI", f"timer{i}").replace("[I]", f"[{i}]") for i in range(3)
        )
    ),
    "PMTIMER": (
        "    ACPI PM: TMR_VAL 0x{tmr_val:}, PM1a_STS 0x{pm1a_sts:}, PM1a_EN 0x{pm1a_en:}\n"
    ),
    "MTRR": (
        "    MTRR: PAT {msr_pat_cr:#}, cap {msr_mtrr_cap:#}, default {msr_mtrr_def_type:#}\n"
        + "".join(
            f"          var {i} {{msr_mtrr_var[{2 * i}]:#18.13}}"
            f" {{msr_mtrr_var[{2 * i + 1}]:#18.13}}\n"
            for i in range(8)
        )
        + "".join(f"          fixed {i:02x} {{msr_mtrr_fixed[{i}]:#18.16}}\n" for i in range(11))
    ),
    "VIRIDIAN_DOMAIN": (
        "    VIRIDIAN_DOMAIN: hypercall gpa 0x{hypercall_gpa:}, guest_os_id 0x{guest_os_id:}\n"
    ),
    "VIRIDIAN_VCPU": (
        "    VIRIDIAN_VCPU: vp_assist_msr 0x{vp_assist_msr:},"
        " apic_assist_pending {apic_assist_pending:false|true}\n"
    ),
    "VMCE_VCPU": (
        "    VMCE_VCPU: caps {caps:}\n"
        "    VMCE_VCPU: bank0 mci_ctl2 {mci_ctl2_bank0:}\n"
        "    VMCE_VCPU: bank1 mci_ctl2 {mci_ctl2_bank1:}\n"
    ),
    "TSC_ADJUST": "    TSC_ADJUST: tsc_adjust {tsc_adjust:}\n",
}
