"""Known damage in contexts, and its repair: each with the releases that did it and the fix.

Xen's own load handlers put up with some of it; a context that holds an over-claiming CPU_MSR
record cannot even be split into records before it is mended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Citation
from xensave.container.streams.hvm import DESCRIPTOR, END_TYPECODE
from xensave.context import Context, ContextRecord
from xensave.errors import LimitExceeded, Truncated
from xensave.findings import WARNING, Finding, Place
from xensave.records import msr_list
from xensave.records.meaning.cpu.area import AREA_START, FP_SSE, LEGACY_SIZE, standard_size
from xensave.records.meaning.explain import SEGMENTS
from xensave.records.values import integer, integers, structs

CPU_MSR = catalogue.typecode_of("CPU_MSR")
XSTATE_BV = AREA_START + LEGACY_SIZE
MAX_REPAIRS = 20_000

# IA-PC HPET 1.0a, 2.3.5 and 2.3.8.
HPET_ENABLED = 1 << 0
HPET_INTERRUPT, HPET_PERIODIC_MODE, HPET_PERIODIC_CAPABLE = 1 << 2, 1 << 3, 1 << 4


class Damage(NamedTuple):
    """A kind of damage: its rule id, who wrote it, what it is, and what ended or named it.

    `citation` is None where no commit is known to.
    """

    rule: str
    releases: str
    what: str
    citation: Citation | None


class Repaired(NamedTuple):
    """A repaired record: the finding, the damage, and the repair in words."""

    finding: Finding
    damage: Damage
    done: str


MSR_OVERCLAIMS = Damage(
    "CPU_MSR_LENGTH_OVERCLAIMED",
    "4.5 - 4.9",
    "the descriptor claims room for every MSR, fewer were written",
    Citation(
        "d2f86bf604",
        "x86/hvm: Don't corrupt the HVM context stream when writing the MSR record",
        "4.10",
    ),
)
XSAVE_OVERLONG = Damage(
    "CPU_XSAVE_OVERLONG",
    "4.3.0, 4.2.3 and older",
    "the record has room for all that the host's XSAVE area holds, not what the guest used",
    Citation(
        "4cc1344447", "x86/xsave: fix migration from xsave-capable to xsave-incapable host", "4.4"
    ),
)
XSAVE_EMPTY = Damage(
    "CPU_XSAVE_EMPTY",
    "before 4.12",
    "the record holds no state: the guest never used XSAVE",
    Citation(
        "1dd6b50dc4", "x86/hvm: Defer the size calculation in hvm_save_cpu_xsave_states()", "4.19"
    ),
)
VMCS_ATTRIBUTES = Damage(
    "CPU_SEGMENT_ATTRIBUTES_VMCS",
    "3.3 and older, on Intel",
    "segment attributes are as the VMCS has them, not as struct segment_register",
    Citation(
        "60a3eafa2b",
        "x86 hvm: Allow restore of old images with different segment attribute format.",
        "3.4",
    ),
)

# A report on xen-devel (Xen 4.12.4, Windows 10): timers[0].config is 0x34 where 0x3c is due, and
# the guest stands still after the restore until the counter wraps, for about a minute.
HPET_PERIODIC = Damage(
    "HPET_PERIODIC_LOST",
    "4.12.4",
    "a timer that had a period is one-shot, and its time is past: it fires no more",
    None,
)


def parse(
    data: bytes | memoryview, release: str | None, offset: int, *, mend: bool
) -> tuple[Context, list[Repaired]]:
    """Reads a context; with `mend`, repairs what is known to be damaged.

    Raises Truncated as Context.parse does; where only `mend` was missing, it says so.
    """
    if not mend:
        try:
            return Context.parse(data, release, offset), []
        except Truncated as error:
            if not _mendable(data, release):
                raise
            remedy = f"{MSR_OVERCLAIMS.rule}: --repair mends it"
            raise error.reworded(f"{error.message}; {remedy}") from error
    mended: list[Repaired] = []
    context = Context.parse(_split(memoryview(data), offset, mended), release, offset)
    records: list[ContextRecord] = []
    for record in context.records:
        repair = REPAIRS.get(record.name)
        new = repair(record, mended) if repair is not None else record
        if new is not None:
            records.append(new)
    return (context.with_records(tuple(records)) if mended else context), mended


def _mendable(data: bytes | memoryview, release: str | None) -> bool:
    try:
        Context.parse(_split(memoryview(data), 0, []), release)
    except Truncated:
        return False
    return True


def _split(view: memoryview, offset: int, mended: list[Repaired]) -> bytes | memoryview:
    """Returns the context with every CPU_MSR descriptor cut to what was written."""
    parts: list[bytes | memoryview] = []
    at, whole = 0, 0
    while at + DESCRIPTOR.size <= len(view):
        typecode, instance, length = DESCRIPTOR.unpack_from(view, at)
        start = at + DESCRIPTOR.size
        written = _written(view, start) if typecode == CPU_MSR else length
        if written < length and _descriptor_at(view, start + written):
            label = f"CPU_MSR[{instance}]"
            done = f"length {length} cut to the {written} bytes written"
            _note(mended, MSR_OVERCLAIMS, offset + at, label, done)
            parts += [view[whole:at], DESCRIPTOR.pack(typecode, instance, written)]
            whole = start
            length = written
        if typecode == END_TYPECODE:
            break
        at = start + length
    return b"".join([*parts, view[whole:]]) if parts else view


def _written(view: memoryview, start: int) -> int:
    """Returns how long a CPU_MSR body is by its own count."""
    whole = start + msr_list.HEAD <= len(view)
    return msr_list.size_for(msr_list.count_of(view[start : start + 4]) if whole else 0)


def _descriptor_at(view: memoryview, at: int) -> bool:
    """Tells whether what may follow the last MSR stands here: END of all, or the next CPU_MSR.

    Records of a downstream come after CPU_MSR too: any higher number whose body fits will do.
    """
    if at + DESCRIPTOR.size > len(view):
        return False
    typecode: int
    length: int
    typecode, _, length = DESCRIPTOR.unpack_from(view, at)
    start = at + DESCRIPTOR.size
    if typecode == END_TYPECODE:
        return length == 0 and start == len(view)
    if typecode == CPU_MSR:
        return start + _written(view, start) <= len(view)
    return typecode > CPU_MSR and start + length <= len(view)


def _xsave(record: ContextRecord, mended: list[Repaired]) -> ContextRecord | None:
    """Cuts an overlong record, drops an empty one (x87 and SSE state is in the CPU record too)."""
    accum = int.from_bytes(record.body[16:AREA_START], "little")
    in_use = int.from_bytes(record.body[XSTATE_BV : XSTATE_BV + 8], "little")
    if record.length <= AREA_START or (accum == 0 and not in_use & ~FP_SSE):
        _note(mended, XSAVE_EMPTY, record.offset, record.label, "dropped")
        return None
    size = xsave_size(accum)
    sound = not in_use & ~(accum | FP_SSE)
    if size is None or record.length <= size or any(record.body[size:]) or not sound:
        return record
    done = f"{record.length - size} zero bytes cut off"
    _note(mended, XSAVE_OVERLONG, record.offset, record.label, done)
    return record.with_body(record.body[:size])


def xsave_size(accum: int) -> int | None:
    """Returns how long a CPU_XSAVE record is for a guest that used the components of `accum`.

    Standard format; None where a component is not known.

    >>> xsave_size(0b11), xsave_size(0b111)
    (600, 856)
    """
    size = standard_size(accum)
    return None if size is None else AREA_START + size


def _segments(record: ContextRecord, mended: list[Repaired]) -> ContextRecord:
    """Folds attributes in VMCS form (bits 12 - 15 in use, 8 - 11 not) as Xen does on load."""
    folded: dict[str, int] = {}
    for name in SEGMENTS:
        value = record.integer(f"{name}_arbytes")
        if value & 0xF000 and not value & 0x0F00:
            folded[f"{name}_arbytes"] = (value & 0xFF) | (value >> 4 & 0xF00)
    if not folded:
        return record
    done = "folded " + ", ".join(folded)
    _note(mended, VMCS_ATTRIBUTES, record.offset, record.label, done)
    return record.replace(**folded)


def _note(mended: list[Repaired], damage: Damage, offset: int, label: str, done: str) -> None:
    if len(mended) >= MAX_REPAIRS:
        raise LimitExceeded(f"over {MAX_REPAIRS} records are damaged", offset=offset, record=label)
    cited = ""
    if damage.citation is not None:
        commit, subject, release = damage.citation
        cited = f'; {commit} in {release}: "{subject}"'
    message = f"{damage.what} (Xen {damage.releases}{cited})"
    place = Place(offset=offset, record=label)
    mended.append(Repaired(Finding(damage.rule, WARNING, place, message, done), damage, done))


def _hpet(record: ContextRecord, mended: list[Repaired]) -> ContextRecord:
    """Makes a timer periodic again that was, as the period that Xen keeps for it tells."""
    values = record.values.copy()
    periods = integers(values, "period")
    places = []
    for index, (timer, period) in enumerate(zip(structs(values, "timers"), periods, strict=True)):
        config = integer(timer, "config")
        expired = integer(timer, "cmp") <= integer(values, "mc64")
        runs = integer(values, "config") & HPET_ENABLED and config & HPET_INTERRUPT
        one_shot = config & HPET_PERIODIC_CAPABLE and not config & HPET_PERIODIC_MODE
        if runs and one_shot and period and expired:
            timer["config"] = config | HPET_PERIODIC_MODE
            places.append(f"timers[{index}].config")
    if not places:
        return record
    _note(mended, HPET_PERIODIC, record.offset, record.label, f"set periodic in {' '.join(places)}")
    return record.replace(**values)


Repair = Callable[[ContextRecord, list[Repaired]], "ContextRecord | None"]
REPAIRS: dict[str, Repair] = {
    "CPU": _segments,
    "CPU_XSAVE": _xsave,
    "HPET": _hpet,
}
"""The repairs of whole records, by name."""
