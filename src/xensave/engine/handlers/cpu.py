"""CPU: control registers, EFER, debug registers and the event that is pending."""

from __future__ import annotations

from xensave.catalogue.dates import begun, in_force
from xensave.catalogue.model import Cite
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Rule, Undecided

_CPU_EFER = Cite(
    "hvm_efer_valid", "4b898944d3", "x86/HVM: improve EFER validation error messages", "4.6"
)

RECORD = "CPU"

_CR0_KNOWN = 0xE005003F
_CR0_PE = 1 << 0
_CR0_ET = 1 << 4
_CR0_PG = 1 << 31

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

# Before this, a restore was held to the host's CPU rather than to the domain's policy: 9d8c1d1814
# "x86/hvm: Fix bit checking for CR4 and MSR_EFER" (4.12), carried back as far as 4.9.
_POLICY_SINCE = ("4.9.4", "4.10.3", "4.11.2", "4.12.0")

_SCE, _LME, _LMA, _NXE = 1 << 0, 1 << 8, 1 << 10, 1 << 11
_SVME, _LMSLE, _FFXSE, _AIBRSE = 1 << 12, 1 << 13, 1 << 14, 1 << 21
_AIBRSE_SINCE = ("4.18",)
_LMA_PAGES = ("4.6",)
"""Since when LMA needs paging."""

# (bits, since, until, whether only a domain with nested virtualisation has them)
_EFER_KNOWN = (
    (_SVME, ("4.6",), (), False),
    (_SVME, ("4.2",), ("4.6",), True),
    (_LMSLE, ("4.1",), ("4.12",), False),
    (_AIBRSE, _AIBRSE_SINCE, (), False),
)
_EFER = (
    (_SCE, "syscall", "SCE"),
    (_LME | _LMA, "lm", "LME or LMA"),
    (_NXE, "nx", "NXE"),
    (_FFXSE, "ffxsr", "FFXSE"),
    (_AIBRSE, "auto_ibrs", "AutoIBRS"),
)

_FLAGS_KNOWN = 1
_SVM_TYPES = ("4.9",)
"""Since when an event of a software interrupt is none that SVM injects."""


def cr0(body: Body, machine: Machine) -> str | None:
    """Refuse reserved bits, PG without PE, and a CR0 without ET."""
    value = body["cr0"]
    if value & ~_CR0_KNOWN or not value & _CR0_ET or value & (_CR0_PE | _CR0_PG) == _CR0_PG:
        return f"cr0 is {value:#x}"
    return None


def cr4(body: Body, machine: Machine) -> str | None:
    """Refuse bits that the domain's policy (before `_POLICY_SINCE` the host's CPU) lacks."""
    value = body["cr4"]
    allowed, known = machine.once(_cr4_bits)
    rest = value & ~allowed
    if not rest:
        return None
    if rest & known == rest and not begun(_POLICY_SINCE, machine.version):
        raise Undecided(f"whether the host's CPU has what CR4 bits {rest:#x} stand for")
    return f"cr4 is {value:#x}, valid are {allowed:#x}, not {rest:#x}"


def _cr4_bits(machine: Machine) -> tuple[int, int]:
    """Return the bits that the policy allows, and those that the release knows at all."""
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
    """Return VMXE where it may be set: on restore the policy was enough from 4.5 to 4.14."""
    restore = in_force(_CR4_FIXED_UNTIL, _VMXE_BY_POLICY_UNTIL, machine.version)
    if machine.policy.has("vmx") and (restore or machine.domain.nested):
        return _CR4_VMXE
    return 0


def efer_known(body: Body, machine: Machine) -> str | None:
    """Refuse bits that the release does not know."""
    value = body["msr_efer"]
    known = _SCE | _LME | _LMA | _NXE | _FFXSE
    for bits, since, until, nested in _EFER_KNOWN:
        if in_force(since, until, machine.version) and (machine.domain.nested or not nested):
            known |= bits
    return f"msr_efer is {value:#x}, known are {known:#x}" if value & ~known else None


def efer_features(body: Body, machine: Machine) -> str | None:
    """Refuse bits whose feature the policy (before `_POLICY_SINCE` the host's CPU) lacks."""
    value = body["msr_efer"]
    for bits, feature, name in _EFER:
        if not value & bits or machine.policy.has(feature):
            continue
        if bits == _AIBRSE and not in_force(_AIBRSE_SINCE, (), machine.version):
            continue
        if not begun(_POLICY_SINCE, machine.version):
            raise Undecided(f"whether the host's CPU has {feature}, for EFER {value:#x}")
        return f"{name} without feature {feature}, msr_efer is {value:#x}"
    return None


def efer_long_mode(body: Body, machine: Machine) -> str | None:
    """Refuse LMA without LME, and from 4.6 on without paging."""
    value = body["msr_efer"]
    if not value & _LMA:
        return None
    paging = body["cr0"] & _CR0_PG or not in_force(_LMA_PAGES, (), machine.version)
    if not value & _LME or not paging:
        return f"LMA, LME and CR0.PG are inconsistent, msr_efer is {value:#x}"
    return None


def efer_svme(body: Body, machine: Machine) -> str | None:
    """Refuse SVME in a domain without nested virtualisation."""
    value = body["msr_efer"]
    if value & _SVME and not (machine.domain.nested and machine.policy.has("svm")):
        return f"SVME without nested virtualisation, msr_efer is {value:#x}"
    return None


def efer_lmsle(body: Body, machine: Machine) -> str | None:
    """Leave LMSLE to the host: only some AMD CPUs have it, and no policy tells."""
    value = body["msr_efer"]
    if not value & _LMSLE:
        return None
    if machine.policy.amd:
        raise Undecided("whether the host's CPU has long mode segment limits (EFER.LMSLE)")
    return f"LMSLE without support, msr_efer is {value:#x}"


def pad0(body: Body, machine: Machine) -> str | None:
    """Refuse a padding that is not zero."""
    return f"pad0 is {body['pad0']:#x}" if body["pad0"] else None


def cr3(body: Body, machine: Machine) -> str | None:
    """Refuse a CR3 beyond the guest's physical addresses."""
    width = machine.policy.maxphysaddr
    value = body["cr3"]
    return f"cr3 is {value:#x}, addresses have {width} bits" if value >> width else None


def dr67(body: Body, machine: Machine) -> str | None:
    """Refuse upper halves of DR6 and DR7 that are not zero."""
    if body["dr6"] >> 32 or body["dr7"] >> 32:
        return f"dr6 is {body['dr6']:#x}, dr7 {body['dr7']:#x}"
    return None


def flags(body: Body, machine: Machine) -> str | None:
    """Refuse flags other than XEN_X86_FPU_INITIALISED."""
    return f"flags are {body['flags']:#x}" if body["flags"] & ~_FLAGS_KNOWN else None


def tsc_aux(body: Body, machine: Machine) -> str | None:
    """Refuse a TSC_AUX of more than 32 bits."""
    value = body["msr_tsc_aux"]
    return f"msr_tsc_aux is {value:#x}" if value >> 32 else None


def pending_event(body: Body, machine: Machine) -> str | None:
    """Refuse an event of a type that the virtualisation hardware does not inject."""
    if not body["pending_valid"]:
        return None
    kind = body["pending_type"]
    newest = 4 if machine.policy.amd and in_force(_SVM_TYPES, (), machine.version) else 6
    if kind == 1 or kind > newest or body["pending_reserved"]:
        return f"pending_event is {body['pending_event']:#x}"
    return None


def error_code(body: Body, machine: Machine) -> str | None:
    """Refuse a pending event's error code of more than 16 bits."""
    if body["pending_valid"] and body["pending_error_valid"] and body["error_code"] >> 16:
        return f"error_code is {body['error_code']:#x}"
    return None


def shadow_cr3(body: Body, machine: Machine) -> str | None:
    """Leave a shadow-paged guest's CR3 to its memory map."""
    if not machine.domain.hap and body["cr0"] & _CR0_PG:
        raise Undecided(f"whether the guest has memory at CR3 {body['cr3']:#x} (shadow paging)")
    return None


def convert(data: bytes, length: int) -> bytes:
    """Convert a shorter CPU record: that of 3.x has no TSC_AUX, none but 4.7's has flags.

    `data` is zero-extended already; this is _hvm_hw_fix_cpu() of the public header.
    """
    if length == 1016:
        data = data[:1000] + bytes(8) + data[1000:1016] + data[1024:]
    if len(data) == 1032:
        data = data[:1024] + _FLAGS_KNOWN.to_bytes(4, "little") + data[1028:]
    return data


RULES = (
    Rule(
        id="CPU_PAD",
        record=RECORD,
        errno="EINVAL",
        sentence="padding must be zero",
        test=pad0,
        cite=Cite(
            "hvm_load_cpu_ctxt", "eb68c40ba5", "x86/HVM: add padding to struct hvm_hw_cpu", "4.7"
        ),
        since=("4.7",),
    ),
    Rule(
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
    Rule(
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
    Rule(
        id="CPU_EFER_KNOWN",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER must have no unknown bits",
        test=efer_known,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "7566bcec5d",
            "hvm: Clean up EFER handling. Check CR0/CR4/EFER on HVM restore.",
            "3.2",
        ),
        since=("3.2",),
        until=("4.6",),
    ),
    Rule(
        id="CPU_EFER_KNOWN",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER must have no unknown bits",
        test=efer_known,
        cite=Cite(
            "hvm_efer_valid", "ef0269c621", "x86/hvm: Disallow unknown MSR_EFER bits", "4.12"
        ),
        since=("4.8.5", "4.9.3", "4.10.2", "4.11.1", "4.12.0"),
    ),
    Rule(
        id="CPU_EFER_FEATURE",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER bits need their features",
        test=efer_features,
        cite=_CPU_EFER,
        since=("3.2",),
    ),
    Rule(
        id="CPU_EFER_LONG_MODE",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER must be consistent with itself and CR0",
        test=efer_long_mode,
        cite=_CPU_EFER,
        since=("3.2",),
    ),
    Rule(
        id="CPU_EFER_SVME",
        record=RECORD,
        errno="EINVAL",
        sentence="SVME needs nested virtualisation",
        test=efer_svme,
        cite=_CPU_EFER,
        since=("4.2",),
    ),
    Rule(
        id="CPU_EFER_LMSLE",
        record=RECORD,
        errno="EINVAL",
        sentence="LMSLE needs support of the CPU",
        test=efer_lmsle,
        cite=Cite(
            "hvm_efer_valid",
            "8d13ba787c",
            "x86/svm: Drop the suggestion of Long Mode Segment Limit support",
            "4.12",
        ),
        since=("4.1",),
        until=("4.12",),
    ),
    Rule(
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
    Rule(
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
    Rule(
        id="CPU_FLAGS",
        record=RECORD,
        errno="EINVAL",
        sentence="only one flag is known",
        test=flags,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "a3b6844d3b",
            "x86/hvm: introduce a flags field in the CPU save record",
            "4.7",
        ),
        since=("4.7",),
    ),
    Rule(
        id="CPU_TSC_AUX",
        record=RECORD,
        errno="EINVAL",
        sentence="TSC_AUX has 32 bits",
        test=tsc_aux,
        cite=Cite(
            "hvm_load_cpu_ctxt",
            "5f5a7a6d36",
            "x86/msr: Handle MSR_TSC_AUX consistently for PV and HVM guests",
            "4.12",
        ),
        since=("4.12",),
    ),
    Rule(
        id="CPU_PENDING_EVENT",
        record=RECORD,
        errno="EINVAL",
        sentence="a pending event must be one that can be injected",
        test=pending_event,
        cite=Cite("svm_vmcb_restore or vmx_vmcs_restore"),
    ),
    Rule(
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
    Rule(
        id="CPU_SHADOW_CR3",
        record=RECORD,
        errno="EINVAL",
        sentence="CR3 must name memory of the guest",
        test=shadow_cr3,
        cite=Cite("svm_vmcb_restore or vmx_restore_cr0_cr3"),
    ),
)
