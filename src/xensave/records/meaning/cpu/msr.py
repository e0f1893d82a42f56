"""Model-specific registers by name: those that Xen saves of a guest, and common ones.

Source: xen/arch/x86/include/asm/msr-index.h; msrs_to_send[] of hvm.c and domctl.c.
"""

from __future__ import annotations

_NAMES = {
    0x10: "TSC",
    0x1B: "APIC_BASE",
    0x35: "CORE_THREAD_COUNT",
    0x3A: "FEATURE_CONTROL",
    0x3B: "TSC_ADJUST",
    0x48: "SPEC_CTRL",
    0x49: "PRED_CMD",
    0x8B: "UCODE_REV",
    0xCE: "INTEL_PLATFORM_INFO",
    0xCF: "CORE_CAPABILITIES",
    0xFE: "MTRR_CAP",
    0x10A: "ARCH_CAPABILITIES",
    0x10B: "FLUSH_CMD",
    0x122: "TSX_CTRL",
    0x123: "MCU_OPT_CTRL",
    0x140: "INTEL_MISC_FEATURES_ENABLES",
    0x174: "SYSENTER_CS",
    0x175: "SYSENTER_ESP",
    0x176: "SYSENTER_EIP",
    0x179: "MCG_CAP",
    0x17A: "MCG_STATUS",
    0x17B: "MCG_CTL",
    0x1A0: "MISC_ENABLE",
    0x1D9: "DEBUGCTL",
    0x250: "MTRR_FIX64K_00000",
    0x258: "MTRR_FIX16K_80000",
    0x259: "MTRR_FIX16K_A0000",
    **{0x268 + n: f"MTRR_FIX4K_{0xC0000 + 0x8000 * n:X}" for n in range(8)},
    **{0x200 + n: f"MTRR_PHYS{'MASK' if n % 2 else 'BASE'}{n // 2}" for n in range(20)},
    0x277: "PAT",
    0x2FF: "MTRR_DEF_TYPE",
    0x4D0: "MCG_EXT_CTL",
    0x6A0: "U_CET",
    0x6A2: "S_CET",
    **{0x6A4 + n: f"PL{n}_SSP" for n in range(4)},
    0x6A8: "INTERRUPT_SSP_TABLE",
    0x6E0: "TSC_DEADLINE",
    0x6E1: "PKRS",
    0xD90: "BNDCFGS",
    0xD93: "PASID",
    0xDA0: "XSS",
    0xC0000080: "EFER",
    0xC0000081: "STAR",
    0xC0000082: "LSTAR",
    0xC0000083: "CSTAR",
    0xC0000084: "SYSCALL_MASK",
    0xC0000100: "FS_BASE",
    0xC0000101: "GS_BASE",
    0xC0000102: "SHADOW_GS_BASE",
    0xC0000103: "TSC_AUX",
    0xC0010010: "SYSCFG",
    0xC0010015: "HWCR",
    0xC0010114: "VM_CR",
    0xC0010117: "VM_HSAVE_PA",
    0xC001011F: "VIRT_SPEC_CTRL",
    0xC0010140: "OSVW_ID_LENGTH",
    0xC0010141: "OSVW_STATUS",
    0xC0011019: "DR1_ADDRESS_MASK",
    0xC001101A: "DR2_ADDRESS_MASK",
    0xC001101B: "DR3_ADDRESS_MASK",
    0xC0011027: "DR0_ADDRESS_MASK",
}


def msr_name(index: int) -> str:
    """Returns the name of an MSR, or "" where there is none here.

    >>> msr_name(0xC0000080), msr_name(0x268), msr_name(0x12345)
    ('EFER', 'MTRR_FIX4K_C0000', '')
    """
    if 0x800 <= index <= 0x8FF:
        return f"X2APIC_{(index & 0xFF) * 16:03X}"
    if 0x400 <= index < 0x480:
        return f"MC{(index - 0x400) // 4}_{('CTL', 'STATUS', 'ADDR', 'MISC')[index % 4]}"
    if 0x280 <= index < 0x2A0:
        return f"MC{index - 0x280}_CTL2"
    return _NAMES.get(index, "")


def msr_number(name: str) -> int | None:
    """Returns the index of an MSR by its name, or by its number as text; None for neither.

    >>> msr_number("TSC_AUX") == 0xC0000103, msr_number("0x10"), msr_number("NONE")
    (True, 16, None)
    """
    try:
        return int(name, 0)
    except ValueError:
        return next((number for number, each in _NAMES.items() if each == name), None)
