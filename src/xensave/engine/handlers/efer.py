"""EFER in the CPU record: which bits a release knows, and what they need."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import HandlerRule, KnownBits, Undecided, dated_bits, known_bits

_CPU_EFER = Cite(
    "hvm_efer_valid", "4b898944d3", "x86/HVM: improve EFER validation error messages", "4.6"
)

RECORD = "CPU"
CR0_PG = 1 << 31

_SCE, _LME, _LMA, _NXE = 1 << 0, 1 << 8, 1 << 10, 1 << 11
_SVME, _LMSLE, _FFXSE, _AIBRSE = 1 << 12, 1 << 13, 1 << 14, 1 << 21

BY_POLICY = Dated(
    "CPU_BY_POLICY",
    RECORD,
    "CR4 and EFER are held to the CPU policy; before, to the host's CPU",
    Cite(
        "hvm_load_cpu_ctxt",
        "9d8c1d1814",
        "x86/hvm: Fix bit checking for CR4 and MSR_EFER",
        "4.12",
    ),
    ("4.9.4", "4.10.3", "4.11.2", "4.12.0"),
)
_BY_FEATURE = Cite(
    "hvm_efer_valid", "e70c3da4d0", "x86/HVM: make hvm_efer_valid() honor guest features", "4.6"
)
_LMA_PAGES = Dated("CPU_EFER_LMA_PAGES", RECORD, "LMA needs paging", _BY_FEATURE, ("4.6",))
_LMSLE_CITE = Cite(
    "hvm_efer_valid",
    "8d13ba787c",
    "x86/svm: Drop the suggestion of Long Mode Segment Limit support",
    "4.12",
)

_AIBRSE_BIT = KnownBits(
    _AIBRSE,
    "AutoIBRS",
    Cite("hvm_efer_valid", "defaf65163", "x86/hvm: Expose Automatic IBRS to guests", "4.18"),
    ("4.18",),
)
_EFER_BITS = (
    KnownBits(_SCE | _LME | _LMA | _NXE | _FFXSE, "SCE, LME, LMA, NXE and FFXSE", _CPU_EFER),
    KnownBits(_SVME, "SVME", _BY_FEATURE, ("4.6",)),
    KnownBits(_LMSLE, "LMSLE", _LMSLE_CITE, ("4.1",), ("4.12",)),
    _AIBRSE_BIT,
)
_NESTED_SVME = KnownBits(
    _SVME,
    "SVME with nested virtualisation",
    Cite("hvm_load_cpu_ctxt", "bd9b262d9a", "Allow guest to enable SVM in EFER", "4.2"),
    ("4.2",),
    ("4.6",),
)
_EFER = (
    (_SCE, "syscall", "SCE"),
    (_LME | _LMA, "lm", "LME or LMA"),
    (_NXE, "nx", "NXE"),
    (_FFXSE, "ffxsr", "FFXSE"),
    (_AIBRSE, "auto_ibrs", "AutoIBRS"),
)
DATED = (
    BY_POLICY,
    _LMA_PAGES,
    *dated_bits("CPU_EFER_KNOWN", RECORD, "EFER", (*_EFER_BITS, _NESTED_SVME)),
)


def _known_bits(machine: Machine) -> int:
    """Returns the bits of EFER that the release knows."""
    rows = (*_EFER_BITS, _NESTED_SVME) if machine.domain.nested else _EFER_BITS
    return known_bits(rows, machine.version)


def efer_known(body: Body, machine: Machine) -> str | None:
    """Refuses bits that the release does not know."""
    value = body["msr_efer"]
    known = machine.once(_known_bits)
    return f"msr_efer is {value:#x}, known are {known:#x}" if value & ~known else None


def efer_features(body: Body, machine: Machine) -> str | None:
    """Refuses bits whose feature the policy (before `BY_POLICY` the host's CPU) lacks."""
    value = body["msr_efer"]
    for bits, feature, name in _EFER:
        if not value & bits or machine.policy.has(feature):
            continue
        if bits == _AIBRSE and not _AIBRSE_BIT.known(machine.version):
            continue
        if not BY_POLICY.holds(machine.version):
            raise Undecided(f"whether the host's CPU has {feature}, for EFER {value:#x}")
        return f"{name} without feature {feature}, msr_efer is {value:#x}"
    return None


def efer_long_mode(body: Body, machine: Machine) -> str | None:
    """Refuses LMA without LME, and where `_LMA_PAGES` holds without paging."""
    value = body["msr_efer"]
    if not value & _LMA:
        return None
    paging = body["cr0"] & CR0_PG or not _LMA_PAGES.holds(machine.version)
    if not value & _LME or not paging:
        return f"LMA, LME and CR0.PG are inconsistent, msr_efer is {value:#x}"
    return None


def efer_svme(body: Body, machine: Machine) -> str | None:
    """Refuses SVME in a domain without nested virtualisation."""
    value = body["msr_efer"]
    if value & _SVME and not (machine.domain.nested and machine.policy.has("svm")):
        return f"SVME without nested virtualisation, msr_efer is {value:#x}"
    return None


def efer_lmsle(body: Body, machine: Machine) -> str | None:
    """Leaves LMSLE to the host: only some AMD CPUs have it, and no policy tells."""
    value = body["msr_efer"]
    if not value & _LMSLE:
        return None
    if machine.policy.amd:
        raise Undecided("whether the host's CPU has long mode segment limits (EFER.LMSLE)")
    return f"LMSLE without support, msr_efer is {value:#x}"


RULES = (
    HandlerRule(
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
    HandlerRule(
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
    HandlerRule(
        id="CPU_EFER_FEATURE",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER bits need their features",
        test=efer_features,
        cite=_CPU_EFER,
        since=("3.2",),
    ),
    HandlerRule(
        id="CPU_EFER_LONG_MODE",
        record=RECORD,
        errno="EINVAL",
        sentence="EFER must be consistent with itself and CR0",
        test=efer_long_mode,
        cite=_CPU_EFER,
        since=("3.2",),
    ),
    HandlerRule(
        id="CPU_EFER_SVME",
        record=RECORD,
        errno="EINVAL",
        sentence="SVME needs nested virtualisation",
        test=efer_svme,
        cite=_CPU_EFER,
        since=("4.2",),
    ),
    HandlerRule(
        id="CPU_EFER_LMSLE",
        record=RECORD,
        errno="EINVAL",
        sentence="LMSLE needs support of the CPU",
        test=efer_lmsle,
        cite=_LMSLE_CITE,
        since=("4.1",),
        until=("4.12",),
    ),
)
