"""CPU_XSAVE: the extended state, whose length depends on the states that XCR0 ever enabled."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import VCPU, Note, OwnLength, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE, ContextCursor
from xensave.engine.loop.rule import Refusal, Undecided
from xensave.records.meaning.cpu.area import (
    AREA_START,
    AVX512,
    FP_SSE,
    HEADER_END,
    LWP,
    MPX,
    PKRU,
    TILES,
    YMM,
)

_XSAVE = Cite("hvm_load_cpu_xsave_states")
_XSTATE = Cite("validate_xstate")

RECORD = "CPU_XSAVE"
SPECS = (Spec(RECORD, VCPU),)

_MINIMUM = AREA_START + HEADER_END
_FP, _SSE = 1 << 0, 1 << 1
KNOWN_STATES = FP_SSE | YMM | MPX | AVX512 | PKRU | LWP

CHECKED_LENGTH = Dated(
    "XSAVE_CHECKED",
    RECORD,
    "the area's head must be whole, and its states are validated; before, only the saver's mask"
    " and the host's size counted",
    Cite(
        "hvm_load_cpu_xsave_states",
        "4cc1344447",
        "x86/xsave: fix migration from xsave-capable to xsave-incapable host",
        "4.4",
    ),
    ("4.2.4", "4.3.1", "4.4.0"),
)
ZERO_EXCESS = Dated(
    "XSAVE_ZERO_EXCESS",
    RECORD,
    "an overlong record passes where the excess is zero; before, none did",
    Cite(
        "hvm_load_cpu_xsave_states",
        "d7bb8e88a0",
        "x86/HVM: sanity check xsave area when migrating or restoring from older Xen versions",
        "4.5",
    ),
    ("4.3.4", "4.4.2", "4.5.0"),
)
EXACT_LENGTH = Dated(
    "XSAVE_EXACT",
    RECORD,
    "a record shorter than its states is refused; before, it passed",
    Cite(
        "hvm_load_cpu_xsave_states",
        "681aea049c",
        "x86/domctl: Fix migration of guests which are not using xsave",
        "4.8",
    ),
    ("4.7.1", "4.8.0"),
)
MASK_CHECKED = Dated(
    "XSAVE_MASK",
    RECORD,
    "the accumulated XCR0 must lie in the saver's mask",
    CHECKED_LENGTH.cite,
    CHECKED_LENGTH.since,
    ("4.5.0",),
)
STATES_CHECKED = Dated(
    "XSAVE_STATES_PAIRED",
    RECORD,
    "AVX-512 and MPX states come whole, AVX-512 with AVX",
    Cite(
        "validate_xstate", "e8121c54ec", "x86/xsave: enable support for new ISA extensions", "4.5"
    ),
    ("4.5.0",),
)
HEADER_CHECKED = Dated(
    "XSAVE_HEADER",
    RECORD,
    "a compacted area, and reserved bytes of its header, are refused",
    Cite(
        "validate_xstate", "d570d82291", "x86/xstate: extend validation to cover full header", "4.7"
    ),
    ("4.7.0",),
)
POLICY_CHECKED = Dated(
    "XSAVE_POLICY",
    RECORD,
    "the accumulated XCR0 must lie in the CPU policy; before, in what the host has",
    Cite(
        "validate_xstate",
        "361b835fa0",
        "x86/xstate: Use a guests CPUID policy, rather than allowing all features",
        "4.12",
    ),
    ("4.8.5", "4.9.3", "4.10.2", "4.11.1", "4.12.0"),
)
TILES_PAIRED = Dated(
    "XSAVE_TILES_PAIRED",
    RECORD,
    "AMX states come together",
    Cite(
        "valid_xcr0", "d31a111940", "x86/xstate: Cross-check dynamic XSTATE sizes at boot", "4.19"
    ),
    ("4.19.0",),
)
DATED = (
    CHECKED_LENGTH,
    MASK_CHECKED,
    ZERO_EXCESS,
    STATES_CHECKED,
    HEADER_CHECKED,
    EXACT_LENGTH,
    POLICY_CHECKED,
    TILES_PAIRED,
)


class XsaveHandler(OwnLength):
    """hvm_load_cpu_xsave_states(): it checks its own length."""

    __slots__ = ()

    def save_size(self, machine: Machine) -> int:
        """Returns the bytes for every state that the host's XCR0 may have, descriptor included."""
        return SIZE + AREA_START + machine.policy.xsave_size(machine.policy.xcr0_max)

    def load(self, reader: ContextCursor, machine: Machine) -> Note:
        """Checks and takes the record; raises Refusal."""
        instance, length = self._admitted(reader, machine, "XSAVE_LENGTH", _XSAVE)
        label = f"{self.name}[{instance}]"
        depends = []
        if not machine.policy.has("xsave"):
            depends.append(f"{label}: whether the host has XSAVE")
        checked = CHECKED_LENGTH.holds(machine.version)
        if checked and length < _MINIMUM:
            reason = f"its length is {length}, at least {_MINIMUM}"
            raise Refusal("EINVAL", "XSAVE_LENGTH", reason, CHECKED_LENGTH.cite)
        data = reader.take(length)
        body = Body(data.ljust(_MINIMUM, b"\0"), self.places, instance, length)
        fixup = ""
        try:
            if checked:
                self._validate(body, machine)
                fixup = self._length(body, machine)
            else:
                self._old(body, machine)
        except Undecided as doubt:
            depends.append(f"{label}: {doubt}")
        machine.set_xcr0_accum(instance, body["xcr0_accum"])
        return Note(fixup, tuple(depends))

    def _old(self, body: Body, machine: Machine) -> None:
        """Checks as before lengths were: a mask that the host covers, no longer than the host's."""
        if body["xfeature_mask"] & ~machine.policy.xcr0_max:
            raise Undecided(f"whether the host has the states {body['xfeature_mask']:#x}")
        most = AREA_START + machine.policy.xsave_size(machine.policy.xcr0_max)
        if body.length > most:
            raise Undecided(f"whether the host's XSAVE area has {body.length} bytes")

    def _validate(self, body: Body, machine: Machine) -> None:
        """Checks XCR0 and the XSAVE header as validate_xstate() does."""
        accum, xcr0 = body["xcr0_accum"], body["xcr0"]
        present = body["save_area.xsave_hdr.xstate_bv"]
        shown = f"xcr0 {xcr0:#x}, accumulated {accum:#x}, present {present:#x}"
        wrong = (
            self._beyond(body, machine)
            or (present & ~accum and "states are present that XCR0 never had")
            or (xcr0 & ~accum and "XCR0 has states that it never had")
            or (not valid_xcr0(xcr0, machine) and "XCR0 is not one that a CPU takes")
            or (not valid_xcr0(accum, machine) and "accumulated XCR0 is not one that a CPU takes")
        )
        if wrong:
            cite = POLICY_CHECKED.cite if POLICY_CHECKED.holds(machine.version) else _XSTATE
            raise Refusal("EINVAL", "XSAVE_STATES", f"{wrong}: {shown}", cite)
        if HEADER_CHECKED.holds(machine.version):
            cite = HEADER_CHECKED.cite
            if body["save_area.xsave_hdr.xcomp_bv"]:
                reason = "the area is in the compacted format"
                raise Refusal("ENOTSUP", "XSAVE_COMPACTED", reason, cite)
            if body["save_area.xsave_hdr.reserved"]:
                reason = "reserved bytes of its header are set"
                raise Refusal("EIO", "XSAVE_RESERVED", reason, cite)
        if accum & ~KNOWN_STATES:
            reason = f"Xen does not know the states: {shown}"
            raise Refusal("ENOTSUP", "XSAVE_UNKNOWN", reason, _XSTATE)
        if accum & ~machine.policy.xcr0_max:
            raise Undecided(f"whether the host has the states {accum:#x}")

    def _beyond(self, body: Body, machine: Machine) -> str:
        """Returns what is wrong with the accumulated XCR0 beside the policy or the saver's mask."""
        accum = body["xcr0_accum"]
        if MASK_CHECKED.holds(machine.version) and accum & ~body["xfeature_mask"]:
            return f"XCR0 had states outside the mask {body['xfeature_mask']:#x}"
        if POLICY_CHECKED.holds(machine.version) and accum & ~machine.policy.xcr0_max:
            return f"XCR0 had states outside the CPU policy's {machine.policy.xcr0_max:#x}"
        return ""

    def _length(self, body: Body, machine: Machine) -> str:
        """Checks the length against the size of the accumulated states; returns a fix-up if any."""
        size = AREA_START + machine.policy.xsave_size(body["xcr0_accum"])
        length = body.length
        if length > size:
            excess = body.data[size:length].lstrip(b"\0")
            reason = ""
            if not ZERO_EXCESS.holds(machine.version):
                reason = f"its length is {length}, at most {size}"
            elif excess:
                at = length - len(excess)
                reason = f"its length is {length}, expected {size}; byte {at} is not zero"
            if reason:
                raise Refusal("ENOTSUP", "XSAVE_OVERLONG", reason, ZERO_EXCESS.cite)
            return f"{self.name} from {length} to {size} bytes"
        if length < size and EXACT_LENGTH.holds(machine.version):
            reason = f"its length is {length}, expected {size}"
            raise Refusal("EINVAL", "XSAVE_LENGTH", reason, EXACT_LENGTH.cite)
        return ""


def valid_xcr0(xcr0: int, machine: Machine) -> bool:
    """Tells whether XSETBV takes this XCR0, as far as the release knows.

    FP always; YMM needs SSE; from 4.5 the AVX-512 states go together and need YMM, the MPX states
    go together, from 4.19 the AMX ones.
    """
    if not xcr0 & _FP or (xcr0 & YMM and not xcr0 & _SSE):
        return False
    if not STATES_CHECKED.holds(machine.version):
        return True
    if xcr0 & AVX512 and (not xcr0 & YMM or xcr0 & AVX512 != AVX512):
        return False
    if xcr0 & MPX not in (0, MPX):
        return False
    return not TILES_PAIRED.holds(machine.version) or xcr0 & TILES in (0, TILES)
