"""Where Xen has each rule: the function, and the commit that brought it or last changed it."""

from __future__ import annotations

from xensave.catalogue.model import Cite

_CPU = "hvm_load_cpu_ctxt"
_XSAVE = "hvm_load_cpu_xsave_states"
_RESTORE_CHECKS = ("7566bcec5d", "hvm: Clean up EFER handling. Check CR0/CR4/EFER on HVM restore.")
_EFER_MESSAGES = ("4b898944d3", "x86/HVM: improve EFER validation error messages", "4.6")
_EVENTS = "svm_vmcb_restore or vmx_vmcs_restore"

ERRNOS = Cite(
    "hvm_load",
    "96e5ad4c47",
    "x86/hvm: Propagate real error information up through hvm_load()",
    "4.16",
)
CHECK_PASS = Cite(
    "hvm_load", "5b6cab423c", "x86/HVM: split restore state checking from state loading", "4.19"
)
ENTRY = Cite(
    "_hvm_check_entry",
    "66d0c0aa1f",
    "hvm/load: correct length checks for zeroextended records",
    "4.5",
)
DEVICES = Cite("pit_load", "c55f69e5c4", "x86: allow disabling the emulated PIT", "4.7")

CPU_PAD = Cite(_CPU, "eb68c40ba5", "x86/HVM: add padding to struct hvm_hw_cpu", "4.7")
CPU_CR0 = Cite(_CPU, *_RESTORE_CHECKS, "3.2")
CPU_CR4 = Cite(
    "hvm_cr4_guest_valid_bits",
    "f0b043042e",
    "x86/hvm: Improve CR4 verification using named features",
    "4.9",
)
CPU_EFER_FIRST = Cite(_CPU, *_RESTORE_CHECKS, "3.2")
CPU_EFER_KNOWN = Cite(
    "hvm_efer_valid", "ef0269c621", "x86/hvm: Disallow unknown MSR_EFER bits", "4.12"
)
CPU_EFER = Cite("hvm_efer_valid", *_EFER_MESSAGES)
CPU_EFER_LMSLE = Cite(
    "hvm_efer_valid",
    "8d13ba787c",
    "x86/svm: Drop the suggestion of Long Mode Segment Limit support",
    "4.12",
)
CPU_DR = Cite(
    _CPU, "15987cb03f", "x86: Reject bad %dr6/%dr7 values when loading guest state", "4.18"
)
CPU_CR3 = Cite(
    _CPU, "80872597e6", "x86/HVM: refuse CR3 loads with reserved (upper) bits set", "4.14"
)
CPU_FLAGS = Cite(
    _CPU, "a3b6844d3b", "x86/hvm: introduce a flags field in the CPU save record", "4.7"
)
CPU_TSC_AUX = Cite(
    _CPU, "5f5a7a6d36", "x86/msr: Handle MSR_TSC_AUX consistently for PV and HVM guests", "4.12"
)
CPU_EVENT = Cite(_EVENTS)
CPU_ERROR_CODE = Cite(_EVENTS, "b706e1c6af", "x86/HVM: don't leak PFEC_implict to guests", "4.9")
CPU_SHADOW = Cite("svm_vmcb_restore or vmx_restore_cr0_cr3")

LINK_LOAD = Cite("irq_load_link")
LINK_CHECK = Cite(
    "irq_check_link",
    "7a3bd1cbc4",
    "x86/vIRQ: split PCI link load state checking from actual loading",
    "4.19",
)
PIC_CHECK = Cite(
    "vpic_check", "69c89dd787", "x86/vPIC: check values loaded from state save record", "4.19"
)
PIT_CHECK = Cite(
    "pit_check", "c53013da6f", "x86/vPIT: check values loaded from state save record", "4.19"
)
LAPIC_LOAD = Cite(
    "lapic_load_hidden", "f9e0cccf7b", "x86/HVM: fix ID handling of x2APIC emulation", "4.5"
)
LAPIC_CHECK = Cite(
    "lapic_check_hidden",
    "eb48045d74",
    "x86/vlapic: Move lapic migration checks to the check hooks",
    "4.20",
)
MTRR_COUNT = Cite("hvm_load_mtrr_msr", "76159f10b1", "x86/HVM: improve MTRR load checks", "4.12")
VMCE_CAPS = Cite(
    "vmce_restore_vcpu", "e1dc98e3c3", "x86/vMCE: save/restore MCA capabilities", "4.2"
)
VIRIDIAN_PAD = Cite(
    "viridian_load_vcpu_ctxt",
    "646c312844",
    "x86/hvm/viridian: zero and check vcpu context _pad field",
    "4.7",
)

XSAVE = Cite(_XSAVE)
XSAVE_CHECKED = Cite(
    _XSAVE,
    "4cc1344447",
    "x86/xsave: fix migration from xsave-capable to xsave-incapable host",
    "4.4",
)
XSAVE_OVERLONG = Cite(
    _XSAVE,
    "d7bb8e88a0",
    "x86/HVM: sanity check xsave area when migrating or restoring from older Xen versions",
    "4.5",
)
XSAVE_EXACT = Cite(
    _XSAVE, "681aea049c", "x86/domctl: Fix migration of guests which are not using xsave", "4.8"
)
XSTATE = Cite("validate_xstate")
XSTATE_ISA = Cite(
    "validate_xstate", "e8121c54ec", "x86/xsave: enable support for new ISA extensions", "4.5"
)
XSTATE_HEADER = Cite(
    "validate_xstate", "d570d82291", "x86/xstate: extend validation to cover full header", "4.7"
)
XSTATE_POLICY = Cite(
    "validate_xstate",
    "361b835fa0",
    "x86/xstate: Use a guests CPUID policy, rather than allowing all features",
    "4.12",
)
XSTATE_TILES = Cite(
    "valid_xcr0", "d31a111940", "x86/xstate: Cross-check dynamic XSTATE sizes at boot", "4.19"
)

MSRS = Cite("hvm_load_cpu_msrs", "bd1f0b45ff", "x86: generic MSRs save/restore", "4.5")
MSR_WRITE = Cite("guest_wrmsr")
