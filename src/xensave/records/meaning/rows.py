"""Array elements that read best as one row: a label, the value, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xensave.records.values import Value, integer, integers, numbers

_LEAF = ("leaf", "subleaf", "a", "b", "c", "d")
_TRAP = ("vector", "flags", "cs", "address")


class EntryRow(NamedTuple):
    """One element in a line: "IOREQ_SERVER_PFN", "0xfeff0", ""."""

    label: str
    value: str
    meaning: str


def _msr(entry: dict[str, Value]) -> EntryRow:
    from xensave.records.meaning.cpu.msr import msr_name

    index = integer(entry, "index")
    value = integer(entry, "value" if "value" in entry else "val")
    name = msr_name(index)
    return EntryRow(f"{name} ({index:#x})" if name else f"MSR {index:#x}", f"{value:#018x}", "")


def _param(entry: dict[str, Value]) -> EntryRow:
    from xensave.records.meaning.params import param_meaning, param_name

    index, value = integer(entry, "index"), integer(entry, "value")
    return EntryRow(f"{param_name(index)} ({index})", f"{value:#x}", param_meaning(index, value))


def _leaf(entry: dict[str, Value]) -> EntryRow:
    from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF, leaf_meaning

    leaf, subleaf, a, b, c, d = numbers(entry, _LEAF)
    label = f"{leaf:#010x}" + ("" if subleaf == NO_SUBLEAF else f".{subleaf}")
    words = f"a {a:08x}  b {b:08x}  c {c:08x}  d {d:08x}"
    if not (a or b or c or d):
        return EntryRow(label, "all zero", "")
    return EntryRow(label, words, leaf_meaning(leaf, subleaf, (a, b, c, d)))


def _st(entry: dict[str, Value]) -> EntryRow:
    from xensave.records.meaning.cpu.fxsave import x87_number

    significand, exponent = integer(entry, "significand"), integer(entry, "exponent")
    number = x87_number(significand, exponent)
    return EntryRow("", f"{exponent:#06x} {significand:016x}", number if number != "0" else "")


def _wide(entry: dict[str, Value]) -> EntryRow:
    return EntryRow("", f"0x{integer(entry, 'high'):016x}{integer(entry, 'low'):016x}", "")


def _words(entry: dict[str, Value]) -> EntryRow:
    words = reversed(integers(entry, "word"))
    return EntryRow("", "0x" + "".join(f"{word:016x}" for word in words), "")


def _trap(entry: dict[str, Value]) -> EntryRow:
    vector, flags, selector, address = numbers(entry, _TRAP)
    target = f"{selector:#06x}:{address:#x}"
    masks = ", masks events" if flags & 4 else ""
    return EntryRow("", target, f"vector {vector:#x}, DPL {flags & 3}{masks}")


ROWS: dict[str, Callable[[dict[str, Value]], EntryRow]] = {
    "struct hvm_one_msr": _msr,
    "struct msr": _msr,
    "struct param": _param,
    "struct leaf": _leaf,
    "struct st": _st,
    "struct xmm": _wide,
    "struct zmm": _words,
    "struct zmm_high": _words,
    "struct trap": _trap,
}

# Those whose label tells what the element is.
LABELLED = {"struct hvm_one_msr", "struct msr", "struct param", "struct leaf"}
