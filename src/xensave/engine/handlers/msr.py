"""CPU_MSR: a list of MSRs, each of which the release and the policy must take."""

from collections.abc import Callable
from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version, begun
from xensave.catalogue.model import Cite
from xensave.engine.loop.handler import VCPU, Note, OwnLength, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE, ContextCursor
from xensave.engine.loop.rule import KnownBits, Refusal, Undecided, allowed_bits, dated_bits
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.msr_list import count_of, entries_of, size_for

_MSRS = Cite("hvm_load_cpu_msrs", "bd1f0b45ff", "x86: generic MSRs save/restore", "4.5")

SPECS = (Spec("CPU_MSR", VCPU),)

_RECORD = "CPU_MSR"
_IBRS_STIBP = 0x3
DR_MASKS = (0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)
_BNDCFGS_RESERVED = 0xFFC
_XCR0_BND = 3 << 3

_AMD_SPEC_CTRL = Dated(
    "MSR_SPEC_CTRL_AMD",
    _RECORD,
    "a guest with IBRS of AMD's alone has SPEC_CTRL",
    Cite("guest_wrmsr", "22b9add22b", "x86/msr: AMD MSR_SPEC_CTRL infrastructure", "4.17"),
    ("4.14.5", "4.15.3", "4.16.1", "4.17.0"),
)
_IPRED_DIS = KnownBits(
    bits=0x18,
    name="IPRED_DIS",
    cite=Cite(
        "msr_spec_ctrl_valid_bits",
        "4dd6760706",
        "x86/spec-ctrl: Expose IPRED_CTRL to guests",
        "4.19",
    ),
    since=("4.15.6", "4.16.6", "4.17.4", "4.18.2", "4.19.0"),
    features=("ipred_ctrl",),
)
_SPEC_CTRL_BITS = (
    KnownBits(
        bits=0x04,
        name="SSBD",
        cite=Cite(
            "guest_wrmsr",
            "cd53023df9",
            "x86/msr: Virtualise MSR_SPEC_CTRL.SSBD for guests to use",
            "4.11",
        ),
        since=("4.8.4", "4.9.2", "4.10.2", "4.11.0"),
        features=("ssbd",),
    ),
    KnownBits(
        bits=0x04,
        name="SSBD on AMD CPUs",
        cite=_AMD_SPEC_CTRL.cite,
        since=_AMD_SPEC_CTRL.since,
        features=("amd_ssbd",),
    ),
    KnownBits(
        bits=0x80,
        name="PSFD",
        cite=Cite(
            "msr_spec_ctrl_valid_bits",
            "52ce1c9784",
            "x86/spec-ctrl: Support Intel PSFD for guests",
            "4.17",
        ),
        since=_AMD_SPEC_CTRL.since,
        features=("intel_psfd", "psfd"),
    ),
    _IPRED_DIS,
    KnownBits(
        bits=0x60,
        name="RRSBA_DIS",
        cite=Cite(
            "msr_spec_ctrl_valid_bits",
            "478e4787fa",
            "x86/spec-ctrl: Expose RRSBA_CTRL to guests",
            "4.19",
        ),
        since=_IPRED_DIS.since,
        features=("rrsba_ctrl",),
    ),
    KnownBits(
        bits=0x400,
        name="BHI_DIS",
        cite=Cite(
            "msr_spec_ctrl_valid_bits",
            "583f1d0950",
            "x86/spec-ctrl: Expose BHI_CTRL to guests",
            "4.19",
        ),
        since=_IPRED_DIS.since,
        features=("bhi_ctrl",),
    ),
)

_SPEC_CTRL_BY_POLICY = Dated(
    "MSR_SPEC_CTRL_POLICY",
    _RECORD,
    "a guest has SPEC_CTRL by its CPU policy; before, by the host's CPU",
    Cite("guest_wrmsr", "9457eaa6f8", "x86/cpuid: Allocate a CPUID policy for every domain", "4.9"),
    ("4.9",),
)
_SPEC_CTRL_EVERYWHERE = Dated(
    "MSR_UNKNOWN",
    _RECORD,
    "MSR 0x48 (SPEC_CTRL) may be loaded on every vendor's CPUs",
    Cite(
        "guest_wrmsr",
        "ea58a679a6",
        "x86/msr: Emulation of MSR_{SPEC_CTRL,PRED_CMD} for guests",
        "4.11",
    ),
    ("4.10.1", "4.11.0"),
)
_MISC_BY_POLICY = Dated(
    "MSR_UNKNOWN",
    _RECORD,
    "MSR 0x140 (INTEL_MISC_FEATURES_ENABLES) may be loaded on every vendor's CPUs, and the CPU"
    " policy says with which bits; before, with any",
    Cite("guest_wrmsr", "664adc5cca", "x86/msr: introduce guest_wrmsr()", "4.10"),
    ("4.10.0",),
)
_BNDCFGS_BY_POLICY = Dated(
    "MSR_UNKNOWN",
    _RECORD,
    "MSR 0xd90 (BNDCFGS) may be loaded by the CPU policy, on every vendor's CPUs",
    Cite(
        "guest_wrmsr",
        "832c1803ca",
        "x86: stop handling MSR_IA32_BNDCFGS save/restore in implementation code",
        "4.13",
    ),
    ("4.13",),
)
_XSS_BY_POLICY = Dated(
    "MSR_UNKNOWN",
    _RECORD,
    "MSR 0xda0 (XSS) may be loaded by the CPU policy, on every vendor's CPUs, and must be zero",
    Cite(
        "guest_wrmsr",
        "4ec08bb826",
        "x86: stop handling MSR_IA32_XSS save/restore in implementation code",
        "4.13",
    ),
    ("4.13",),
)
_NO_MPX_ON_AMD = Dated(
    "MSR_BNDCFGS_INTEL",
    _RECORD,
    "no guest on an AMD CPU has BNDCFGS",
    Cite(
        "hvm_set_guest_bndcfgs",
        "0626219dcc",
        "x86/hvm: Drop hvm_{get,set}_guest_bndcfgs() and use {get,set}_regs() instead",
        "4.17",
    ),
    until=("4.17",),
)
_MASKS_BY_POLICY = Dated(
    "MSR_UNKNOWN",
    _RECORD,
    "the address masks of debug registers may be loaded by the CPU policy, on every vendor's CPUs",
    Cite(
        "guest_wrmsr",
        "86d47adcd3",
        "x86/msr: Handle MSR_AMD64_DR{0-3}_ADDRESS_MASK in the new MSR infrastructure",
        "4.12",
    ),
    ("4.12",),
)


def spec_ctrl_bits(policy: Policy, version: Version) -> int | None:
    """Returns the bits of SPEC_CTRL that a policy gives the guest.

    None where it has no such MSR.
    """
    amd = _AMD_SPEC_CTRL.holds(version) and policy.has("ibrs")
    if not policy.has("ibrsb") and not amd:
        return None
    return _IBRS_STIBP | allowed_bits(_SPEC_CTRL_BITS, policy, version)


def spec_ctrl(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses SPEC_CTRL unless the policy has it, and each bit that is set."""
    valid = spec_ctrl_bits(machine.policy, machine.version)
    if valid is None:
        _host_may(machine, "IBRSB", _SPEC_CTRL_BY_POLICY)
        return "the policy has no speculation control"
    return f"valid are {valid:#x}" if value & ~valid else None


def misc_features(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses MISC_FEATURES_ENABLES but for CPUID faulting, where the policy has it."""
    if not _MISC_BY_POLICY.holds(machine.version):
        return None
    valid = 1 if machine.policy.cpuid_faulting else 0
    return f"valid are {valid:#x}" if value & ~valid else None


def bndcfgs(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses BNDCFGS without MPX in the policy, a canonical address and MPX states in XCR0."""
    policy = machine.policy
    by_policy = _BNDCFGS_BY_POLICY.holds(machine.version)
    if not by_policy and not value:
        return None
    if not policy.has("mpx"):
        _host_may(machine, "MPX", _BNDCFGS_BY_POLICY)
        return "the policy has no MPX"
    if policy.amd and _NO_MPX_ON_AMD.holds(machine.version):
        return "there is no MPX for guests on AMD CPUs"
    if (value + (1 << 47)) >> 48 not in (0, 1 << 16) or value & _BNDCFGS_RESERVED:
        return "it is not canonical, or has reserved bits"
    if by_policy and value & 1 and not machine.xcr0_accum(vcpu) & _XCR0_BND:
        return "it enables MPX in a vCPU whose XCR0 never had its states"
    return None


def xss(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses XSS unless the policy has XSAVES; no guest has a supervisor state yet."""
    if not machine.policy.has("xsaves"):
        _host_may(machine, "XSAVES", _XSS_BY_POLICY)
        return "the policy has no XSAVES"
    return "must be zero" if value and _XSS_BY_POLICY.holds(machine.version) else None


def virt_spec_ctrl(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses VIRT_SPEC_CTRL unless the policy has it."""
    return None if machine.policy.has("virt_ssbd") else "the policy has no VIRT_SSBD"


def pkrs(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses PKRS unless the policy has PKS, and above 32 bits."""
    if not machine.policy.has("pks"):
        return "the policy has no PKS"
    return "it has 32 bits" if value >> 32 else None


def dr_mask(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses debug address masks unless the policy has DBEXT, and above 32 bits."""
    if not machine.policy.has("dbext"):
        _host_may(machine, "DBEXT", _MASKS_BY_POLICY)
        return "the policy has no DBEXT"
    return "it has 32 bits" if value >> 32 else None


def _host_may(machine: Machine, feature: str, by_policy: Dated) -> None:
    """Where the release asks the host, and not yet the policy, only the host can tell."""
    if not by_policy.holds(machine.version):
        raise Undecided(f"whether the host's CPU has {feature}")


class Msr(NamedTuple):
    """An MSR that a load takes: its number, its test, since when, and the commit that made it so.

    `amd` says on which vendor's CPUs alone it does so before `everywhere`; None for any.
    """

    number: int
    test: Callable[[int, int, Machine], str | None]
    since: tuple[str, ...]
    cite: Cite
    amd: bool | None = None
    everywhere: Dated | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return msr_name(self.number)

    def taken(self, machine: Machine) -> bool:
        """Tells whether a release takes it on CPUs of the policy's vendor."""
        vendor = self.amd is None or self.amd == machine.policy.amd
        everywhere = self.everywhere is not None and self.everywhere.holds(machine.version)
        return begun(self.since, machine.version) and (vendor or everywhere)

    def begins(self, rule: str, record: str) -> Dated:
        """Returns since when it may be loaded as a row of its own, under the rule's id."""
        vendor = {True: " on AMD CPUs", False: " on Intel CPUs", None: ""}[self.amd]
        text = f"MSR {self.number:#x} ({self.name}) may be loaded{vendor}"
        return Dated(rule, record, text, self.cite, self.since)


MSRS = (
    Msr(
        number=0x48,
        test=spec_ctrl,
        since=("4.7.5", "4.8.4", "4.9.2", "4.10.1", "4.11.0"),
        cite=Cite(
            "hvm_load_cpu_msrs", "0cf2a4eb76", "x86/migrate: Move MSR_SPEC_CTRL on migrate", "4.11"
        ),
        amd=False,
        everywhere=_SPEC_CTRL_EVERYWHERE,
    ),
    Msr(
        number=0x140,
        test=misc_features,
        since=("4.8.4", "4.9.2", "4.10.0"),
        cite=Cite(
            "hvm_load_cpu_msrs",
            "b90f86be16",
            "x86: Avoid corruption on migrate for vcpus using CPUID Faulting",
            "4.10",
        ),
        amd=False,
        everywhere=_MISC_BY_POLICY,
    ),
    Msr(
        number=0xD90,
        test=bndcfgs,
        since=("4.5",),
        cite=Cite("vmx_load_msr", "4c2502450e", "x86: MSR_IA32_BNDCFGS save/restore", "4.5"),
        amd=False,
        everywhere=_BNDCFGS_BY_POLICY,
    ),
    Msr(
        number=0xDA0,
        test=xss,
        since=("4.7",),
        cite=Cite(
            "vmx_load_msr",
            "460b9a4b36",
            "x86/xsaves: enable xsaves/xrstors for hvm guest",
            "4.7",
        ),
        amd=False,
        everywhere=_XSS_BY_POLICY,
    ),
    Msr(
        number=0x6E1,
        test=pkrs,
        since=("4.18",),
        cite=Cite(
            "hvm_load_cpu_msrs", "59bbbb823d", "x86/hvm: Enable guest access to MSR_PKRS", "4.18"
        ),
    ),
    Msr(
        number=0xC001011F,
        test=virt_spec_ctrl,
        since=("4.17",),
        cite=Cite("hvm_load_cpu_msrs", "0d251a1dd1", "hvm/msr: load VIRT_SPEC_CTRL", "4.17"),
    ),
    *(
        Msr(
            number=number,
            test=dr_mask,
            since=("4.5",),
            cite=Cite(
                "svm_load_msr",
                "c097f54912",
                "x86/SVM: support data breakpoint extension registers",
                "4.5",
            ),
            amd=True,
            everywhere=_MASKS_BY_POLICY,
        )
        for number in DR_MASKS
    ),
)
DATED = (
    *(msr.begins("MSR_UNKNOWN", _RECORD) for msr in MSRS),
    _SPEC_CTRL_EVERYWHERE,
    _SPEC_CTRL_BY_POLICY,
    _AMD_SPEC_CTRL,
    *dated_bits("MSR_VALUE", _RECORD, "SPEC_CTRL", _SPEC_CTRL_BITS),
    _MISC_BY_POLICY,
    _BNDCFGS_BY_POLICY,
    _NO_MPX_ON_AMD,
    _XSS_BY_POLICY,
    _MASKS_BY_POLICY,
)


def write(index: int, value: int, vcpu: int, machine: Machine) -> None:
    """Writes an MSR of a vCPU. Raises Refusal, and Undecided where only the host can tell."""
    for msr in MSRS:
        if msr.number != index or not msr.taken(machine):
            continue
        wrong = msr.test(value, vcpu, machine)
        if wrong is None:
            return
        raise Refusal("ENXIO", "MSR_VALUE", f"{msr.name} {value:#x}: {wrong}", Cite("guest_wrmsr"))
    raise Refusal("ENXIO", "MSR_UNKNOWN", f"no MSR {index:#x} is loaded from a record", _MSRS)


class MsrHandler(OwnLength):
    """hvm_load_cpu_msrs(): it checks its own length, then writes each MSR."""

    __slots__ = ()

    def save_size(self, machine: Machine) -> int:
        """Returns the bytes for every MSR that the release sends, descriptor included."""
        return SIZE + size_for(sum(begun(msr.since, machine.version) for msr in MSRS))

    def load(self, reader: ContextCursor, machine: Machine) -> Note:
        """Checks the record and each MSR in it; raises Refusal."""
        vcpu, length = self._admitted(reader, machine, "MSR_LENGTH", _MSRS)
        if length < size_for(1):
            reason = f"its length is {length}, at least {size_for(1)}"
            raise Refusal("EINVAL", "MSR_LENGTH", reason, _MSRS)
        data = reader.take(length)
        count = count_of(data)
        if length != size_for(count):
            reason = f"its length is {length}, {count} MSRs take {size_for(count)}"
            raise Refusal("ENOTSUP", "MSR_COUNT", reason, _MSRS)
        entries = entries_of(data)
        for index, reserved, _ in entries:
            if reserved:
                reason = f"MSR {index:#x} has reserved bits {reserved:#x}"
                raise Refusal("ENOTSUP", "MSR_RESERVED", reason, _MSRS)
        depends = []
        for index, _, value in entries:
            try:
                write(index, value, vcpu, machine)
            except Undecided as unknown:
                depends.append(f"{self.name}[{vcpu}]: {unknown}, for MSR {index:#x}")
        return Note("", tuple(depends))
