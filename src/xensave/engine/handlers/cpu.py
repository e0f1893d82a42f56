"""CPU: control registers, debug registers and the event that is pending; EFER is in `efer`."""

from __future__ import annotations

from xensave.catalogue.dates import begun, in_force
from xensave.catalogue.model import Cite
from xensave.engine.handlers import efer
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import HandlerRule, Undecided, clear

RECORD = "CPU"

_CR0_KNOWN = 0xE005003F
_CR0_PE = 1 << 0
_CR0_ET = 1 << 4

# (bits, the features one of which they need, since): bits without a feature are always valid.
_CR4: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...] = (
    (0x003, ("vme",), ()),
    (0x004, ("tsc",), ()),
    (0x008, ("de",), ()),
    (0x010, ("pse",), ()),
    (0x020, ("pae",), ()),
    (0x040, ("mce", "mca"), ()),
    (0x080, ("pge",), ()),
    (0x100, (), ()),
    (0x200, ("fxsr",), ()),
    (0x400, ("sse",), ()),
    (1 << 18, ("xsave",), ("4.0",)),
    (1 << 16, ("fsgsbase",), ("4.1",)),
    (1 << 20, ("smep",), ("4.1",)),
    (1 << 17, ("pcid",), ("4.2",)),
    (1 << 21, ("smap",), ("4.5",)),
    (1 << 22, ("pku",), ("4.7",)),
    (1 << 11, ("umip",), ("4.10",)),
    (1 << 23, ("cet_ss", "cet_ibt"), ("4.16",)),
    (1 << 24, ("pks",), ("4.18",)),
    (1 << 27, ("lass",), ("4.22",)),
)
_CR4_VMXE = 1 << 13
_CR4_FIXED_UNTIL = ("4.5",)
_CR4_FIXED = 0x7FF
_VMXE_BY_POLICY_UNTIL = ("4.15",)
"""Until when VMX in the policy was enough for VMXE on restore: nested virtualisation is wanted."""

_FLAGS_KNOWN = 1
_SVM_TYPES = ("4.9",)
"""Since when an event of a software interrupt is none that SVM injects."""


def cr0(body: Body, machine: Machine) -> str | None:
    """Refuses reserved bits, PG without PE, and a CR0 without ET."""
    value = body["cr0"]
    if value & ~_CR0_KNOWN or not value & _CR0_ET or value & (_CR0_PE | efer.CR0_PG) == efer.CR0_PG:
        return f"cr0 is {value:#x}"
    return None


def cr4(body: Body, machine: Machine) -> str | None:
    """Refuses bits that the domain's policy (before `POLICY_SINCE` the host's CPU) lacks."""
    value = body["cr4"]
    allowed, known = machine.once(_cr4_bits)
    rest = value & ~allowed
    if not rest:
        return None
    if rest & known == rest and not begun(efer.POLICY_SINCE, machine.version):
        raise Undecided(f"whether the host's CPU has what CR4 bits {rest:#x} stand for")
    return f"cr4 is {value:#x}, valid are {allowed:#x}, not {rest:#x}"


def _cr4_bits(machine: Machine) -> tuple[int, int]:
    """Returns the bits that the policy allows, and those that the release knows at all."""
    fixed = in_force((), _CR4_FIXED_UNTIL, machine.version)
    allowed = known = _CR4_FIXED if fixed else 0
    for bits, features, since in _CR4:
        if not in_force(since, (), machine.version):
            continue
        known |= bits
        if not features or any(machine.policy.has(feature) for feature in features):
            allowed |= bits
    return allowed | _vmxe(machine), known | _CR4_VMXE


def _vmxe(machine: Machine) -> int:
    """Returns VMXE where it may be set: on restore the policy was enough from 4.5 to 4.14."""
    restore = in_force(_CR4_FIXED_UNTIL, _VMXE_BY_POLICY_UNTIL, machine.version)
    if machine.policy.has("vmx") and (restore or machine.domain.nested):
        return _CR4_VMXE
    return 0


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
    newest = 4 if machine.policy.amd and in_force(_SVM_TYPES, (), machine.version) else 6
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
        cite=Cite(
            "hvm_cr4_guest_valid_bits",
            "f0b043042e",
            "x86/hvm: Improve CR4 verification using named features",
            "4.9",
        ),
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
