"""CPU_MSR: a list of MSRs, each of which the release and the policy must take."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version, begun, in_force
from xensave.catalogue.model import Cite
from xensave.engine.loop.handler import VCPU, Note, OwnLength, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE, ContextCursor
from xensave.engine.loop.rule import Refusal, Undecided
from xensave.policy.value import Policy
from xensave.records.msr_list import count_of, entries_of, size_for

_MSRS = Cite("hvm_load_cpu_msrs", "bd1f0b45ff", "x86: generic MSRs save/restore", "4.5")

SPECS = (Spec("CPU_MSR", VCPU),)

_IBRS_STIBP = 0x3
_AMD_SPEC_CTRL = ("4.14.5", "4.15.3", "4.16.1", "4.17.0")
_INTEL_BITS = ("4.15.6", "4.16.6", "4.17.4", "4.18.2", "4.19.0")
_SPEC_CTRL_BITS = (
    (0x04, ("ssbd",), ("4.8.4", "4.9.2", "4.10.2", "4.11.0")),
    (0x04, ("amd_ssbd",), _AMD_SPEC_CTRL),
    (0x80, ("intel_psfd", "psfd"), _AMD_SPEC_CTRL),
    (0x18, ("ipred_ctrl",), _INTEL_BITS),
    (0x60, ("rrsba_ctrl",), _INTEL_BITS),
    (0x400, ("bhi_ctrl",), _INTEL_BITS),
)
DR_MASKS = (0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)
_BNDCFGS_RESERVED = 0xFFC
_XCR0_BND = 3 << 3
_BY_POLICY = ("4.10.0",)
# Since when a release asks the policy for the feature behind an MSR, and no more the host.
_IBRS_BY_POLICY = ("4.9",)
_MASKS_BY_POLICY = ("4.12",)
_XSTATE_BY_POLICY = ("4.13",)
_MPX_ON_AMD = ("4.17",)


def spec_ctrl_bits(policy: Policy, version: Version) -> int | None:
    """Returns the bits of SPEC_CTRL that a policy gives the guest.

    None where it has no such MSR.
    """
    amd = in_force(_AMD_SPEC_CTRL, (), version) and policy.has("ibrs")
    if not policy.has("ibrsb") and not amd:
        return None
    valid = _IBRS_STIBP
    for bits, features, since in _SPEC_CTRL_BITS:
        if in_force(since, (), version) and any(policy.has(name) for name in features):
            valid |= bits
    return valid


def spec_ctrl(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses SPEC_CTRL unless the policy has it, and each bit that is set."""
    valid = spec_ctrl_bits(machine.policy, machine.version)
    if valid is None:
        _host_may(machine, "IBRSB")
        return "the policy has no speculation control"
    return f"valid are {valid:#x}" if value & ~valid else None


def misc_features(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses MISC_FEATURES_ENABLES but for CPUID faulting, where the policy has it."""
    if not in_force(_BY_POLICY, (), machine.version):
        return None
    valid = 1 if machine.policy.cpuid_faulting else 0
    return f"valid are {valid:#x}" if value & ~valid else None


def bndcfgs(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses BNDCFGS without MPX in the policy, a canonical address and MPX states in XCR0."""
    policy = machine.policy
    by_policy = in_force(_XSTATE_BY_POLICY, (), machine.version)
    if not by_policy and not value:
        return None
    if not policy.has("mpx"):
        _host_may(machine, "MPX", until=_XSTATE_BY_POLICY)
        return "the policy has no MPX"
    if policy.amd and in_force((), _MPX_ON_AMD, machine.version):
        return "there is no MPX for guests on AMD CPUs"
    if (value + (1 << 47)) >> 48 not in (0, 1 << 16) or value & _BNDCFGS_RESERVED:
        return "it is not canonical, or has reserved bits"
    if by_policy and value & 1 and not machine.xcr0_accum(vcpu) & _XCR0_BND:
        return "it enables MPX in a vCPU whose XCR0 never had its states"
    return None


def xss(value: int, vcpu: int, machine: Machine) -> str | None:
    """Refuses XSS unless the policy has XSAVES; no guest has a supervisor state yet."""
    if not machine.policy.has("xsaves"):
        _host_may(machine, "XSAVES", until=_XSTATE_BY_POLICY)
        return "the policy has no XSAVES"
    return "must be zero" if value and in_force(_XSTATE_BY_POLICY, (), machine.version) else None


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
        _host_may(machine, "DBEXT", until=_MASKS_BY_POLICY)
        return "the policy has no DBEXT"
    return "it has 32 bits" if value >> 32 else None


def _host_may(machine: Machine, feature: str, until: tuple[str, ...] = _IBRS_BY_POLICY) -> None:
    """Where the release asked the host, not the policy, only the host can tell."""
    if in_force((), until, machine.version):
        raise Undecided(f"whether the host's CPU has {feature}")


class Msr(NamedTuple):
    """An MSR that a load takes: its name, its test and since when.

    `amd` says on which vendor's CPUs alone it does so before `everywhere`; None for any.
    """

    number: int
    name: str
    test: Callable[[int, int, Machine], str | None]
    since: tuple[str, ...]
    amd: bool | None = None
    everywhere: tuple[str, ...] = ()

    def taken(self, machine: Machine) -> bool:
        """Tells whether a release takes it on CPUs of the policy's vendor."""
        vendor = self.amd is None or self.amd == machine.policy.amd
        return begun(self.since, machine.version) and (
            vendor or begun(self.everywhere, machine.version)
        )

    def rows(self) -> Iterator[Dated]:
        """Yields when it may be loaded, and when on every CPU, as rows of their own."""
        text = f"MSR {self.number:#x} ({self.name}) may be loaded"
        vendor = {True: " on AMD CPUs", False: " on Intel CPUs", None: ""}[self.amd]
        cite = Cite("hvm_load_cpu_msrs")
        yield Dated("MSR_UNKNOWN", "CPU_MSR", f"{text}{vendor}", cite, self.since)
        if self.everywhere:
            sentence = f"{text} on every vendor's CPUs"
            yield Dated("MSR_UNKNOWN", "CPU_MSR", sentence, cite, self.everywhere)


MSRS = (
    Msr(
        number=0x48,
        name="SPEC_CTRL",
        test=spec_ctrl,
        since=("4.7.5", "4.8.4", "4.9.2", "4.10.1", "4.11.0"),
        amd=False,
        everywhere=("4.10.1", "4.11.0"),
    ),
    Msr(
        number=0x140,
        name="MISC_FEATURES_ENABLES",
        test=misc_features,
        since=("4.8.4", "4.9.2", "4.10.0"),
        amd=False,
        everywhere=_BY_POLICY,
    ),
    Msr(
        number=0xD90,
        name="BNDCFGS",
        test=bndcfgs,
        since=("4.5",),
        amd=False,
        everywhere=_XSTATE_BY_POLICY,
    ),
    Msr(
        number=0xDA0,
        name="XSS",
        test=xss,
        since=("4.7",),
        amd=False,
        everywhere=_XSTATE_BY_POLICY,
    ),
    Msr(number=0x6E1, name="PKRS", test=pkrs, since=("4.18",)),
    Msr(number=0xC001011F, name="VIRT_SPEC_CTRL", test=virt_spec_ctrl, since=("4.17",)),
    *(
        Msr(
            number=index,
            name=f"DR{number}_ADDRESS_MASK",
            test=dr_mask,
            since=("4.5",),
            amd=True,
            everywhere=_MASKS_BY_POLICY,
        )
        for number, index in enumerate(DR_MASKS)
    ),
)
DATED = tuple(row for msr in MSRS for row in msr.rows())


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
