"""X86_PV_VCPU_XSAVE: XEN_DOMCTL_setvcpuextstate and validate_xstate()."""

from __future__ import annotations

from xensave.catalogue.dates import Dated, in_force
from xensave.catalogue.model import Cite
from xensave.engine.handlers.xsave import (
    HEADER_CHECKED,
    KNOWN_STATES,
    POLICY_CHECKED,
    valid_xcr0,
)
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import Undecided
from xensave.engine.pv.basic import NUMBER
from xensave.engine.pv.rule import AUDITED, XSAVE, PvRecord, PvRule
from xensave.engine.verdict import Layer
from xensave.records.meaning.cpu.area import COMPACT, HEADER_END, LEGACY_SIZE, LWP, MPX, PKRU

_CITE = Cite("arch_do_domctl")
_HEAD = 16
_NOT_FOR_PV = MPX | PKRU | LWP

EXACT = Dated(
    "PV_XSAVE_EXACT",
    XSAVE,
    "an area has the size of the states that its vCPU used; before, at most that",
    Cite(
        "arch_do_domctl",
        "681aea049c",
        "x86/domctl: Fix migration of guests which are not using xsave",
        "4.8",
    ),
    since=("4.7.1", "4.8.0"),
)
BY_HOST = Dated(
    "PV_XSAVE_HOST",
    XSAVE,
    "states must be the host's, without MPX, PKU and LWP; no policy counts",
    Cite("validate_xstate"),
    since=("4.8.5",),
    until=("4.9.0",),
)
DATED = (EXACT, BY_HOST)


def _header(record: PvRecord, at: int) -> int:
    start = _HEAD + LEGACY_SIZE + at
    return int.from_bytes(record.content[start : start + 8], "little")


def whole(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a length that libxc took for one of MSRs."""
    have = len(record.content)
    return f"{have} bytes, no multiple of {_HEAD}" if have % _HEAD else None


def states(record: PvRecord, machine: Machine) -> str | None:
    """Refuses states that the vCPU cannot have, and those that its policy lacks."""
    xcr0, accum = record["xcr0"], record["xcr0_accum"]
    if not accum:
        wrong = "states without any accumulated" if xcr0 else ""
    elif len(record.content) < _HEAD + HEADER_END:
        wrong = "there is no area for the states"
    elif (_header(record, 0) | xcr0) & ~accum:
        wrong = f"present are {_header(record, 0):#x}"
    else:
        wrong = _beyond(accum, machine)
        if not wrong and not (valid_xcr0(xcr0, machine) and valid_xcr0(accum, machine)):
            wrong = "no CPU takes it"
    return f"xcr0 is {xcr0:#x}, accumulated {accum:#x}: {wrong}" if wrong else None


def _beyond(accum: int, machine: Machine) -> str:
    """Returns which states a PV guest may not have, "" for none."""
    if BY_HOST.holds(machine.version):
        return f"PV guests have none of {_NOT_FOR_PV:#x}" if accum & _NOT_FOR_PV else ""
    if POLICY_CHECKED.holds(machine.version) and accum & ~machine.policy.xcr0_max:
        return f"the CPU policy has {machine.policy.xcr0_max:#x}"
    return ""


def host_states(record: PvRecord, machine: Machine) -> str | None:
    """Refuses states that Xen does not know; those that the host may lack hang on it."""
    accum = record["xcr0_accum"]
    if accum & ~KNOWN_STATES:
        return f"accumulated XCR0 is {accum:#x}, known are {KNOWN_STATES:#x}"
    if accum & ~machine.policy.xcr0_max:
        raise Undecided(f"whether the host has the states {accum:#x}")
    return None


def compacted(record: PvRecord, machine: Machine) -> str | None:
    """Refuses an area in the compacted format; from 4.7 on every bit of xcomp_bv."""
    if not record["xcr0_accum"] or len(record.content) < _HEAD + HEADER_END:
        return None
    bits = ~0 if HEADER_CHECKED.holds(machine.version) else COMPACT
    exact = EXACT.holds(machine.version) or HEADER_CHECKED.holds(machine.version)
    value = _header(record, 8)
    return f"xcomp_bv is {value:#x}" if exact and value & bits else None


def reserved(record: PvRecord, machine: Machine) -> str | None:
    """Refuses reserved bytes of the header that are set."""
    start = _HEAD + LEGACY_SIZE + 16
    octets = record.content[start : _HEAD + HEADER_END]
    if not HEADER_CHECKED.holds(machine.version) or not record["xcr0_accum"]:
        return None
    return f"reserved bytes are {octets.hex()}" if any(octets) else None


def length(record: PvRecord, machine: Machine) -> str | None:
    """Refuses an area of another size than its states take."""
    have = len(record.content)
    if have < _HEAD:
        return f"its length is {have}, at least {_HEAD}"
    if have == _HEAD:
        return None
    accum = record["xcr0_accum"]
    want = _HEAD + machine.policy.xsave_size(accum) if accum else _HEAD
    if in_force(EXACT.since, (), machine.version):
        return f"its length is {have}, expected {want}" if have != want else None
    return f"its length is {have}, at most {want}" if have > want else None


RULES = (
    NUMBER._replace(record=XSAVE),
    PvRule(
        id="PV_XSAVE_WHOLE",
        record=XSAVE,
        errno="",
        sentence="its length is a multiple of 16",
        test=whole,
        layer=Layer.LIBXC,
        cite=AUDITED.cite,
        until=AUDITED.since,
    ),
    PvRule(
        id="PV_XSAVE_STATES",
        record=XSAVE,
        errno="EINVAL",
        sentence="XCR0 is one that the vCPU can have",
        test=states,
        cite=Cite("validate_xstate"),
    ),
    PvRule(
        id="PV_XSAVE_HOST_STATES",
        record=XSAVE,
        errno="ENOTSUP",
        sentence="the host has the states",
        test=host_states,
        cite=Cite("validate_xstate"),
    ),
    PvRule(
        id="PV_XSAVE_COMPACTED",
        record=XSAVE,
        errno="ENOTSUP",
        sentence="the area is in the standard format",
        test=compacted,
        cite=HEADER_CHECKED.cite,
    ),
    PvRule(
        id="PV_XSAVE_RESERVED",
        record=XSAVE,
        errno="EIO",
        sentence="reserved bytes of the header are zero",
        test=reserved,
        cite=HEADER_CHECKED.cite,
    ),
    PvRule(
        id="PV_XSAVE_LENGTH",
        record=XSAVE,
        errno="EINVAL",
        sentence="the area has the size of its states",
        test=length,
        cite=_CITE,
    ),
)
