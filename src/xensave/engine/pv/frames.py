"""The frames that a PV guest's records name, as libxc's restore looks them up.

A frame must lie within the P2M that X86_PV_P2M_FRAMES described, have been sent, and be of the
page type that its use wants. Source: tools/libs/guest/xg_sr_restore_x86_pv.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.model import Cite
from xensave.container.streams.libxc_records import PV_LEVELS
from xensave.engine.loop.machine import Machine
from xensave.engine.pv.memory import NOTAB, TABLE, AnyMemory, PvMemory
from xensave.engine.pv.rule import MemoryRule, PvRecord
from xensave.engine.verdict import Layer
from xensave.records.stream import FRAME_BITS, GDT_PER_FRAME, root_frame

_PRESENT = 1
# Where struct start_info has store_mfn and console.domU.mfn, and how wide they are.
_START_INFO = {64: (56, 72, 8), 32: (44, 52, 4)}


def start_info(record: PvRecord, memory: AnyMemory) -> str | None:
    """Returns what is wrong with the start info page, or with the two frames that it names.

    What it names is known where its contents are.
    """
    pfn = record["user_regs.rdx" if record.guest.bits == 64 else "user_regs.edx"]
    wrong = memory.wrong(pfn, "the start info page")
    if wrong is not None or not isinstance(memory, PvMemory):
        return wrong
    page = memory.memory.page(pfn)
    store, console, size = _START_INFO[record.guest.bits]
    for name, at in (("the XenStore page", store), ("the console page", console)):
        frame = int.from_bytes(page[at : at + size], "little")
        wrong = memory.wrong(frame, name, None)
        if wrong is not None:
            return wrong
    return None


def frames_of(record: PvRecord, memory: AnyMemory) -> str | None:
    """Returns what is wrong with the frames of a vCPU's GDT and page tables."""
    for what, pfn, type_ in _frames(record):
        wrong = memory.wrong(pfn, what, type_)
        if wrong is not None:
            return wrong
    return None


def gdt_of(record: PvRecord) -> Iterator[int]:
    """Yields the pages of a vCPU's GDT."""
    for n in range(-(-min(record["gdt_ents"], 16 * GDT_PER_FRAME) // GDT_PER_FRAME)):
        yield record[f"gdt_frames[{n}]"]


def _frames(record: PvRecord) -> Iterator[tuple[str, int, int]]:
    levels = PV_LEVELS[record.guest.bits]
    for n, pfn in enumerate(gdt_of(record)):
        yield f"GDT frame {n}", pfn, NOTAB
    yield "cr3", root_frame(record["ctrlreg[3]"], record.guest.bits), levels
    if record.guest.bits != 32 and record["ctrlreg[1]"] & _PRESENT:
        yield "cr1", record["ctrlreg[1]"] >> 12, levels


def frames_of_p2m(memory: AnyMemory, machine: Machine) -> str | None:
    """Returns what is wrong with the frames that hold the guest's P2M."""
    for number in memory.frames:
        what, pfn = f"P2M frame {number}", memory.p2m.get(number)
        if pfn is None:
            return f"{what} was not named"
        wrong = memory.wrong(pfn, what)
        if wrong is not None:
            return wrong
    return None


def page_tables(memory: AnyMemory, machine: Machine) -> str | None:
    """Returns which entry of a page table lies beyond the P2M: libxc's helper dies of it."""
    if not isinstance(memory, PvMemory):
        return None
    import numpy as np

    index = memory.memory.index
    kinds = index.types & TABLE
    tables = index.pfns[(kinds >= 1) & (kinds <= 4)]
    for pfn in tables.tolist():
        entries = np.frombuffer(memory.memory.page(pfn), dtype="<u8")
        frames = entries >> np.uint64(12) & np.uint64((1 << FRAME_BITS) - 1)
        beyond = (entries & np.uint64(_PRESENT) != 0) & (frames > np.uint64(memory.max_pfn))
        if beyond.any():
            at = int(beyond.argmax())
            return (
                f"entry {at} of the page table in PFN {pfn:#x} names PFN {int(frames[at]):#x},"
                " beyond the P2M: the toolstack's restore helper dies"
            )
    return None


def roots_of(record: PvRecord) -> Iterator[tuple[int, int]]:
    """Yields the top-level page tables that a vCPU names, each with its level."""
    for what, pfn, level in _frames(record):
        if what in ("cr3", "cr1"):
            yield pfn, level


PAGE_TABLES = MemoryRule(
    id="PV_PAGE_TABLES",
    record="PAGE_DATA",
    errno="",
    sentence="page tables name frames within the P2M",
    test=page_tables,
    layer=Layer.LIBXC,
    cite=Cite("x86_pv_localise_page"),
)
P2M_FRAMES = MemoryRule(
    id="PV_P2M_FRAMES",
    record="X86_PV_P2M_FRAMES",
    errno="",
    sentence="the frames that hold the P2M are plain pages",
    test=frames_of_p2m,
    layer=Layer.LIBXC,
    cite=Cite("update_guest_p2m"),
)
RULES = (PAGE_TABLES, P2M_FRAMES)
