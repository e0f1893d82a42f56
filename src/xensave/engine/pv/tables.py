"""A PV guest's page tables as Xen validates them: what CR3, CR1 and the pinned pages lead to.

An entry above the first level names a table one level below, or, for reading, one of its own
level. A page is a table of one level only, and no entry of the first level may write to a table.
libxc puts the domain's new frames into pages that were sent as tables; entries of other pages
name nothing of the guest's. Source: get_page_from_l1e() and alloc_page_type() in xen/arch/x86/mm.c.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.pv.memory import PvMemory
from xensave.engine.verdict import Refused

_TABLE, _PIN = 0x7, 0x8
_TOP = 4
_PRESENT, _WRITABLE = 1, 2
_FRAME_SHIFT, _FRAME_BITS = 12, 40
_XEN_SLOTS = range(256, 272)
"""Xen's own entries of a top-level table, which it fills itself."""

TABLE_TYPES = Dated(
    "PV_TABLE_TYPES",
    "PAGE_DATA",
    "page tables name tables of the level below, and none maps a table to write to it",
    Cite("get_page_from_l1e or alloc_page_type"),
)


class _TableWalk:
    """One walk from the roots down; `wrong` is the first thing that Xen does not take."""

    def __init__(self, memory: PvMemory) -> None:
        index = memory.memory.index
        self.memory = memory
        self.types: dict[int, int] = dict(
            zip(index.pfns.tolist(), index.types.tolist(), strict=True)
        )
        self.level_of: dict[int, int] = {}
        self.writable: list[tuple[int, int]] = []
        self.todo: list[tuple[int, int]] = []

    def pins(self) -> Iterable[tuple[int, int]]:
        """Yields the pages that libxc pins, each as the table that its type says."""
        for pfn, kind in self.types.items():
            if kind & _PIN and 1 <= kind & _TABLE <= _TOP:
                yield pfn, kind & _TABLE

    def wrong(self, roots: Iterable[tuple[int, int]], gdt: Container[int]) -> str | None:
        """Returns what Xen does not take of what the roots, (PFN, level) each, lead to."""
        self.todo = [*roots, *self.pins()]
        while self.todo:
            table = self._table(*self.todo.pop())
            if table is not None:
                return table
        for pfn, frame in self.writable:
            if frame in self.level_of:
                return f"the page table in PFN {pfn:#x} may write to that in PFN {frame:#x}"
            if frame in gdt:
                return f"the page table in PFN {pfn:#x} may write to the GDT in PFN {frame:#x}"
        return None

    def _table(self, pfn: int, level: int) -> str | None:
        before = self.level_of.get(pfn)
        if before is not None:
            if before == level:
                return None
            return f"PFN {pfn:#x} is a page table of level {before} and of level {level}"
        self.level_of[pfn] = level
        if pfn not in self.types:
            return None
        entries = self._live(pfn, level)
        if entries and not 1 <= self.types[pfn] & _TABLE <= _TOP:
            return f"PFN {pfn:#x} is used as a page table of level {level} and was sent as a page"
        for entry in entries:
            frame = entry >> _FRAME_SHIFT & (1 << _FRAME_BITS) - 1
            if level == 1:
                if entry & _WRITABLE:
                    self.writable.append((pfn, frame))
            elif not self._linear(frame, level, entry):
                self.todo.append((frame, level - 1))
        return None

    def _linear(self, frame: int, level: int, entry: int) -> bool:
        """Whether an entry maps a table of its own level, which it may for reading."""
        return not entry & _WRITABLE and self.types.get(frame, 0) & _TABLE == level

    def _live(self, pfn: int, level: int) -> list[int]:
        import numpy as np

        entries = np.frombuffer(self.memory.memory.page(pfn), dtype="<u8").copy()
        if level == _TOP:
            entries[_XEN_SLOTS.start : _XEN_SLOTS.stop] = 0
        live: list[int] = entries[entries & np.uint64(_PRESENT) != 0].tolist()
        return live


def refusal(
    memory: PvMemory, roots: Iterable[tuple[int, int]], gdt: Container[int] = ()
) -> Refused | None:
    """Returns Xen's refusal of a guest's page tables.

    `roots` are those that its vCPUs name, `gdt` the pages of their descriptor tables.
    """
    wrong = _TableWalk(memory).wrong(roots, gdt)
    if wrong is None:
        return None
    return Refused(
        TABLE_TYPES.id, wrong, errno="EINVAL", record=TABLE_TYPES.record, cite=TABLE_TYPES.cite
    )
