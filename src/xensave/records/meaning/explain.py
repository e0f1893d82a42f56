"""What the fields of a record mean, and the parts that its byte arrays hold.

`MEANINGS` is the table: record, field path without indices, and the function that says in words
what a value is. `parts` decodes what a record carries inside an array of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.records.codec import decode
from xensave.records.meaning import bits, interrupts, timers, viridian
from xensave.records.meaning.cpu import memory_types, segment
from xensave.records.meaning.cpu.area import AREA_START
from xensave.records.meaning.cpu.fxsave import FXSAVE, FXSAVE_NAME
from xensave.records.values import Value, Values

# A meaning gets the value and the last index of its path, 0 where it has none.
Meaning = Callable[[int, int], str]

# "[3]", or "[3-7]" where a run of equal elements is shown as one.
_INDEX = re.compile(r"\[(\d+)(?:-\d+)?\]")


class Part(NamedTuple):
    """What an array of bytes holds; `note` says what is known of it as a whole.

    `offset` is where it begins in the record's body.
    """

    name: str
    note: str
    layout: Layout
    values: Values
    offset: int

    @property
    def kind(self) -> str:
        """Its key in MEANINGS."""
        return self.layout.struct


class Flags:
    """The meaning of a register: the names of its set bits."""

    __slots__ = ("register",)

    def __init__(self, register: bits.Register) -> None:
        self.register = register

    def __call__(self, value: int, _index: int) -> str:
        """Returns the names in a line."""
        return " ".join(bits.bit_names(value, self.register))


def _plain(say: Callable[[int], str]) -> Meaning:
    return lambda value, _: say(value)


def _lapic(name: str) -> Meaning:
    return lambda value, _: interrupts.lapic_register(name, value)


def _pci_wires(value: int, index: int) -> str:
    return interrupts.pci_wires(value, 64 * index)


def _isa_lines(value: int, index: int) -> str:
    return interrupts.irq_lines(value, 64 * index)


def _khz(value: int, _: int) -> str:
    return f"{value / 1000:.3f} MHz" if value else ""


def _signature(value: int, _: int) -> str:
    from xensave.records.meaning.cpu.cpuid import signature

    return "family {}, model {}, stepping {}".format(*signature(value))


def _default_type(value: int, _: int) -> str:
    rest = bits.bit_names(value & ~0xFF, bits.MTRR_DEF_TYPE)
    return " ".join([memory_types.memory_type(value & 0xFF), *rest])


def _msr(value: int, _: int) -> str:
    from xensave.records.meaning.cpu.msr import msr_name

    return msr_name(value)


SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")

MEANINGS: dict[str, dict[str, Meaning]] = {
    "HEADER": {"gtsc_khz": _khz, "cpuid": _signature},
    "CPU": {
        "rflags": Flags(bits.RFLAGS),
        "cr0": Flags(bits.CR0),
        "cr4": Flags(bits.CR4),
        "msr_efer": Flags(bits.EFER),
        "dr6": Flags(bits.DR6),
        "dr7": Flags(bits.DR7),
        "flags": Flags(bits.CPU_FLAGS),
        "msr_syscall_mask": Flags(bits.RFLAGS),
        "pending_event": _plain(segment.pending_event),
        **{f"{name}_arbytes": _plain(segment.segment_attributes) for name in SEGMENTS},
    },
    "PIC": {name: _plain(interrupts.irq_lines) for name in ("irr", "imr", "isr", "elcr")},
    "IOAPIC": {"redirtbl.bits": _plain(interrupts.redirection_entry)},
    "LAPIC": {
        "apic_base_msr": Flags(bits.APIC_BASE),
        "disabled": Flags(bits.LAPIC_DISABLED),
    },
    "lapic_page": {field.name: _lapic(field.name) for field in interrupts.LAPIC_PAGE.fields},
    "PCI_IRQ": dict.fromkeys(("i", "pad"), _pci_wires),
    "ISA_IRQ": dict.fromkeys(("i", "pad"), _isa_lines),
    "PIT": {
        "channels.mode": _plain(timers.pit_mode),
        "channels.rw_mode": _plain(timers.pit_access),
    },
    "RTC": {"cmos_data": lambda value, index: timers.cmos_register(index, value)},
    "HPET": {
        "capability": Flags(bits.HPET_CAPABILITY),
        "config": Flags(bits.HPET_CONFIG),
        "timers.config": Flags(bits.HPET_TIMER),
    },
    "PMTIMER": {"pm1a_sts": Flags(bits.PM1_STATUS), "pm1a_en": Flags(bits.PM1_ENABLE)},
    "MTRR": {
        "msr_pat_cr": lambda value, _: " ".join(memory_types.byte_types(value)),
        "msr_mtrr_var": lambda value, index: memory_types.variable_half(index, value),
        "msr_mtrr_fixed": lambda value, index: memory_types.fixed_ranges(index, value),
        "msr_mtrr_cap": Flags(bits.MTRR_CAP),
        "msr_mtrr_def_type": _default_type,
    },
    "VIRIDIAN_DOMAIN": {
        "guest_os_id": _plain(viridian.guest_os),
        "hypercall_gpa": Flags(bits.VIRIDIAN_PAGE),
        "reference_tsc": Flags(bits.VIRIDIAN_PAGE),
    },
    "VIRIDIAN_VCPU": {
        "vp_assist_msr": Flags(bits.VIRIDIAN_PAGE),
        "simp_msr": Flags(bits.VIRIDIAN_PAGE),
        "sint_msr": Flags(viridian.SINT),
        "stimer_config_msr": Flags(viridian.STIMER_CONFIG),
    },
    "VMCE_VCPU": {
        "caps": Flags(bits.MCG_CAP),
        "mci_ctl2_bank0": Flags(bits.MCI_CTL2),
        "mci_ctl2_bank1": Flags(bits.MCI_CTL2),
        "mcg_ext_ctl": Flags(bits.MCG_EXT_CTL),
    },
    "CPU_XSAVE": {
        "xfeature_mask": Flags(bits.XCR0),
        "xcr0": Flags(bits.XCR0),
        "xcr0_accum": Flags(bits.XCR0),
        "save_area.xsave_hdr.xstate_bv": Flags(bits.XCR0),
        "save_area.xsave_hdr.xcomp_bv": Flags(bits.XCR0),
    },
    "CPU_MSR": {"msr.index": _msr},
    "X86_MSR_POLICY": {"entries.index": _msr},
    "X86_PV_VCPU_MSRS": {"entries.index": _msr},
    "X86_TSC_INFO": {"mode": _plain(timers.tsc_mode), "khz": _khz},
    "fxsave": {
        "fcw": Flags(bits.FCW),
        "fsw": Flags(bits.FSW),
        "mxcsr": Flags(bits.MXCSR),
    },
}


def meaning(kind: str, path: str, value: Value) -> str:
    """Says what a field's integer means, "" where nothing is known beyond the number.

    >>> meaning("CPU", "rflags", 0x246)
    'PF ZF IF'
    >>> meaning("MTRR", "msr_mtrr_fixed[0]", 0x0606060606060606)
    '0x0-0x7ffff WB'
    """
    if not isinstance(value, int):
        return ""
    say = _say(kind, path)
    if say is None:
        return ""
    indices = _INDEX.findall(path)
    return say(value, int(indices[-1]) if indices else 0)


def has_meaning(kind: str, path: str) -> bool:
    """Tells whether `meaning` knows a field, or the elements of an array.

    >>> has_meaning("MTRR", "msr_mtrr_fixed"), has_meaning("LAPIC_REGS", "data")
    (True, False)
    """
    return _say(kind, path) is not None


def _say(kind: str, path: str) -> Meaning | None:
    fields = MEANINGS.get(kind)
    if fields is None:
        return None
    return fields.get(_INDEX.sub("", path) if "[" in path else path)


def register_of(kind: str, path: str) -> bits.Register | None:
    """Returns the named bits of a field; None where it is no register.

    >>> [bit.name for bit in register_of("CPU", "msr_efer")][:3]
    ['SCE', 'LME', 'LMA']
    """
    say = _say(kind, path)
    return say.register if isinstance(say, Flags) else None


COVERED = {"CPU": "fpu_regs", "LAPIC_REGS": "data", "CPU_XSAVE": "save_area.fpu_sse.x"}
"""The arrays of bytes whose contents `parts` decodes, by record."""


def parts(name: str, values: Values) -> list[Part]:
    """Returns what a record's byte arrays hold; [] where it has none that is known."""
    if name == "CPU":
        return _overlaid(values, "fpu_regs", FXSAVE, FXSAVE_NAME)
    if name == "LAPIC_REGS":
        return _overlaid(values, "data", interrupts.LAPIC_PAGE, "registers")
    if name == "CPU_XSAVE":
        return _xsave(values)
    return []


def _overlaid(values: Values, path: str, layout: Layout, name: str) -> list[Part]:
    overlaid = values.get(path)
    if not isinstance(overlaid, bytes) or len(overlaid) < layout.size:
        return []
    # Each is the first member of its struct.
    return [Part(name, "", layout, decode(layout, overlaid[: layout.size]), 0)]


def _xsave(values: Values) -> list[Part]:
    from xensave.records.meaning.cpu.xsave import components

    # A record that is cut has the fields that it reaches.
    enabled = values.get("xcr0_accum")
    if not isinstance(enabled, int):
        return []
    return [
        Part(
            state.component.name,
            f"at {state.offset:#x}, {'in use' if state.present else 'initial state'}",
            state.component.layout,
            state.values,
            AREA_START + state.offset,
        )
        for state in components(values.body[AREA_START:], enabled)
    ]
