"""CPU: control registers, debug registers and the event that is pending; EFER is in `efer`."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.handlers import efer
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import (
    HandlerRule,
    KnownBits,
    Undecided,
    allowed_bits,
    clear,
    dated_bits,
    known_bits,
)

RECORD = "CPU"

_CR0_KNOWN = 0xE005003F
_CR0_PE = 1 << 0
_CR0_ET = 1 << 4

_VALID = "hvm_cr4_guest_valid_bits"
_RESERVED = "HVM_CR4_GUEST_RESERVED_BITS"
_BY_FEATURE = Cite(
    _VALID, "f0b043042e", "x86/hvm: Improve CR4 verification using named features", "4.9"
)
_BY_GUEST = Cite(
    "hvm_cr4_guest_reserved_bits",
    "dab11417da",
    "x86/HVM: consolidate and sanitize CR4 guest reserved bit determination",
    "4.5",
)

_CR4 = (
    KnownBits(0x7FF, "bits 0 - 10 whatever the host's CPU has", _BY_GUEST, until=("4.5",)),
    KnownBits(0x003, "VME and PVI", _BY_FEATURE, features=("vme",)),
    KnownBits(0x004, "TSD", _BY_FEATURE, features=("tsc",)),
    KnownBits(0x008, "DE", _BY_FEATURE, features=("de",)),
    KnownBits(0x010, "PSE", _BY_FEATURE, features=("pse",)),
    KnownBits(0x020, "PAE", _BY_FEATURE, features=("pae",)),
    KnownBits(0x040, "MCE", _BY_FEATURE, features=("mce", "mca")),
    KnownBits(0x080, "PGE", _BY_FEATURE, features=("pge",)),
    KnownBits(0x100, "PCE", _BY_FEATURE),
    KnownBits(0x200, "OSFXSR", _BY_FEATURE, features=("fxsr",)),
    KnownBits(0x400, "OSXMMEXCPT", _BY_FEATURE, features=("sse",)),
    KnownBits(
        bits=1 << 18,
        name="OSXSAVE",
        cite=Cite(
            _RESERVED, "fb7925518f", "vmx: add the support of XSAVE/XRSTOR to VMX guest", "4.0"
        ),
        since=("4.0",),
        features=("xsave",),
    ),
    KnownBits(
        bits=1 << 16,
        name="FSGSBASE",
        cite=Cite(_RESERVED, "bfb9f7deda", "Enable RDWRGSFS feature support for HVM guests", "4.2"),
        since=("4.1.2", "4.2.0"),
        features=("fsgsbase",),
    ),
    KnownBits(
        bits=1 << 20,
        name="SMEP",
        cite=Cite(_RESERVED, "89c9f78710", "x86/hvm: add SMEP support to HVM guest", "4.2"),
        since=("4.1.2", "4.2.0"),
        features=("smep",),
    ),
    KnownBits(
        bits=1 << 17,
        name="PCIDE",
        cite=Cite(_RESERVED, "7d3ada69de", "X86: implement PCID/INVPCID for hvm", "4.2"),
        since=("4.2",),
        features=("pcid",),
    ),
    KnownBits(
        bits=1 << 21,
        name="SMAP",
        cite=Cite(_RESERVED, "58658992c1", "x86/hvm: add SMAP support to HVM guest", "4.5"),
        since=("4.5",),
        features=("smap",),
    ),
    KnownBits(
        bits=1 << 22,
        name="PKE",
        cite=Cite(
            "hvm_cr4_guest_reserved_bits",
            "673807ab5c",
            "x86/hvm: add pkeys support when setting CR4",
            "4.7",
        ),
        since=("4.7",),
        features=("pku",),
    ),
    KnownBits(
        bits=1 << 11,
        name="UMIP",
        cite=Cite(_VALID, "293a0a1fd7", "x86/cpufeatures: expose UMIP to HVM guests", "4.10"),
        since=("4.10",),
        features=("umip",),
    ),
    KnownBits(
        bits=1 << 23,
        name="CET",
        cite=Cite(
            _VALID, "48f2a10a71", "x86/hvm: Introduce control register handling for CET", "4.16"
        ),
        since=("4.16",),
        features=("cet_ss", "cet_ibt"),
    ),
    KnownBits(
        bits=1 << 24,
        name="PKS",
        cite=Cite(_VALID, "1d60c20260", "x86/hvm: Support PKS for HAP guests", "4.18"),
        since=("4.18",),
        features=("pks",),
    ),
    KnownBits(
        bits=1 << 27,
        name="LASS",
        cite=Cite(
            _VALID,
            "4c607bbb1e",
            "x86/hvm: Configuration for Linear Address Space Separation",
            "4.22",
        ),
        since=("4.22",),
        features=("lass",),
    ),
)
_VMXE = KnownBits(
    bits=1 << 13,
    name="VMXE with nested virtualisation",
    cite=Cite(_RESERVED, "8119b4ce0c", "Nested VMX: Add VMXE bits in virtual CR4", "4.2"),
    since=("4.2",),
    features=("vmx",),
)
_VMXE_BY_POLICY = Dated(
    "CPU_CR4_VMXE",
    RECORD,
    "VMX in the CPU policy is enough for VMXE in a restore, without nested virtualisation",
    Cite(
        _VALID,
        "345fd6d01e",
        "x86/hvm: Drop restore boolean from hvm_cr4_guest_valid_bits()",
        "4.15",
    ),
    ("4.5",),
    ("4.15",),
)

_FLAGS_KNOWN = 1
_SVM_TYPES = Dated(
    "CPU_PENDING_SVM",
    RECORD,
    "on AMD CPUs an event of a software interrupt is none that can be injected",
    Cite(
        "svm_vmcb_restore",
        "ef7f5bbf9d",
        "x86/svm: Correct event injection check in svm_vmcb_restore()",
        "4.9",
    ),
    ("4.9",),
)
DATED = (
    *efer.DATED,
    _VMXE_BY_POLICY,
    *dated_bits("CPU_CR4", RECORD, "CR4", (*_CR4, _VMXE)),
    _SVM_TYPES,
)


def cr0(body: Body, machine: Machine) -> str | None:
    """Refuses reserved bits, PG without PE, and a CR0 without ET."""
    value = body["cr0"]
    if value & ~_CR0_KNOWN or not value & _CR0_ET or value & (_CR0_PE | efer.CR0_PG) == efer.CR0_PG:
        return f"cr0 is {value:#x}"
    return None


def cr4(body: Body, machine: Machine) -> str | None:
    """Refuses bits that the domain's policy (before `BY_POLICY` the host's CPU) lacks."""
    value = body["cr4"]
    allowed, known = machine.once(_cr4_bits)
    rest = value & ~allowed
    if not rest:
        return None
    if rest & known == rest and not efer.BY_POLICY.holds(machine.version):
        raise Undecided(f"whether the host's CPU has what CR4 bits {rest:#x} stand for")
    return f"cr4 is {value:#x}, valid are {allowed:#x}, not {rest:#x}"


def _cr4_bits(machine: Machine) -> tuple[int, int]:
    """Returns the bits that the policy allows, and those that the release knows at all."""
    nested = machine.domain.nested or _VMXE_BY_POLICY.holds(machine.version)
    rows = (*_CR4, _VMXE) if nested else _CR4
    allowed = allowed_bits(rows, machine.policy, machine.version)
    return allowed, known_bits(rows, machine.version)


def cr3(body: Body, machine: Machine) -> str | None:
    """Refuses a CR3 beyond the guest's physical addresses."""
    width, value = machine.policy.maxphysaddr, body["cr3"]
    return f"cr3 is {value:#x}, addresses have {width} bits" if value >> width else None


def dr67(body: Body, machine: Machine) -> str | None:
    """Refuses upper halves of DR6 and DR7 that are not zero."""
    if body["dr6"] >> 32 or body["dr7"] >> 32:
        return f"dr6 is {body['dr6']:#x}, dr7 {body['dr7']:#x}"
    return None


def pending_event(body: Body, machine: Machine) -> str | None:
    """Refuses an event of a type that the virtualisation hardware does not inject."""
    if not body["pending_valid"]:
        return None
    kind = body["pending_type"]
    newest = 4 if machine.policy.amd and _SVM_TYPES.holds(machine.version) else 6
    if kind == 1 or kind > newest or body["pending_reserved"]:
        return f"pending_event is {body['pending_event']:#x}"
    return None


def error_code(body: Body, machine: Machine) -> str | None:
    """Refuses a pending event's error code of more than 16 bits."""
    if body["pending_valid"] and body["pending_error_valid"] and body["error_code"] >> 16:
        return f"error_code is {body['error_code']:#x}"
    return None


def shadow_cr3(body: Body, machine: Machine) -> str | None:
    """Leaves a shadow-paged guest's CR3 to its memory map."""
    if not machine.domain.hap and body["cr0"] & efer.CR0_PG:
        raise Undecided(f"whether the guest has memory at CR3 {body['cr3']:#x} (shadow paging)")
    return None


def convert(data: bytes, length: int) -> bytes:
    """Converts a shorter CPU record: that of 3.x has no TSC_AUX, none but 4.7's has flags.

    `data` is zero-extended already; this is _hvm_hw_fix_cpu() of the public header.
    """
    if length == 1016:
        data = data[:1000] + bytes(8) + data[1000:1016] + data[1024:]
    if len(data) == 1032:
        data = data[:1024] + _FLAGS_KNOWN.to_bytes(4, "little") + data[1028:]
    return data


RULES = (
    HandlerRule(
        id="CPU_PAD",
        record=RECORD,
        errno="EINVAL",
        sentence="padding must be zero",
        test=clear("pad0", ~0),
        cite=Cite(
            "hvm_load_cpu_ctxt", "eb68c40ba5", "x86/HVM: add padding to struct hvm_hw_cpu", "4.7"
        ),
        since=("4.7",),
    ),
    HandlerRule(
        id="CPU_CR0",
        record=RECORD,
        errno="EINVAL",
        sentence="CR0 must be one that a guest can have",
        test=cr0,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "7566bcec5d",
            "hvm: Clean up EFER handling. Check CR0/CR4/EFER on HVM restore.",
            "3.2",
        ),
        since=("3.2",),
    ),
    HandlerRule(
        id="CPU_CR4",
        record=RECORD,
        errno="EINVAL",
        sentence="CR4 bits need their features",
        test=cr4,
        cite=_BY_FEATURE,
        since=("3.2",),
    ),
    *efer.RULES,
    HandlerRule(
        id="CPU_DR",
        record=RECORD,
        errno="EINVAL",
        sentence="DR6 and DR7 have 32 bits",
        test=dr67,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "15987cb03f",
            "x86: Reject bad %dr6/%dr7 values when loading guest state",
            "4.18",
        ),
        since=("4.18",),
    ),
    HandlerRule(
        id="CPU_CR3",
        record=RECORD,
        errno="EINVAL",
        sentence="CR3 is a guest's address",
        test=cr3,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "80872597e6",
            "x86/HVM: refuse CR3 loads with reserved (upper) bits set",
            "4.14",
        ),
        since=("4.14",),
    ),
    HandlerRule(
        id="CPU_FLAGS",
        record=RECORD,
        errno="EINVAL",
        sentence="only one flag is known",
        test=clear("flags", ~_FLAGS_KNOWN),
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "a3b6844d3b",
            "x86/hvm: introduce a flags field in the CPU save record",
            "4.7",
        ),
        since=("4.7",),
    ),
    HandlerRule(
        id="CPU_TSC_AUX",
        record=RECORD,
        errno="EINVAL",
        sentence="TSC_AUX has 32 bits",
        test=clear("msr_tsc_aux", ~0 << 32),
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "5f5a7a6d36",
            "x86/msr: Handle MSR_TSC_AUX consistently for PV and HVM guests",
            "4.12",
        ),
        since=("4.12",),
    ),
    HandlerRule(
        id="CPU_PENDING_EVENT",
        record=RECORD,
        errno="EINVAL",
        sentence="a pending event must be one that can be injected",
        test=pending_event,
        cite=Cite("svm_vmcb_restore or vmx_vmcs_restore"),
    ),
    HandlerRule(
        id="CPU_ERROR_CODE",
        record=RECORD,
        errno="EINVAL",
        sentence="an error code has 16 bits",
        test=error_code,
        cite=Cite(
            "svm_vmcb_restore or vmx_vmcs_restore",
            "b706e1c6af",
            "x86/HVM: don't leak PFEC_implict to guests",
            "4.9",
        ),
        since=("4.9",),
    ),
    HandlerRule(
        id="CPU_SHADOW_CR3",
        record=RECORD,
        errno="EINVAL",
        sentence="CR3 must name memory of the guest",
        test=shadow_cr3,
        cite=Cite("svm_vmcb_restore or vmx_restore_cr0_cr3"),
    ),
)
