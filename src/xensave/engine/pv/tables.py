"""A PV guest's page tables as Xen validates them: what CR3, CR1 and the pinned pages lead to.

An entry above the first level names a table one level below, or, for reading, one of its own
level. A page is a table of one level only, and no entry of the first level may write to a table.
libxc puts the domain's new frames into pages that were sent as tables; entries of other pages
name nothing of the guest's. Source: get_page_from_l1e() and alloc_page_type() in xen/arch/x86/mm.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.engine.pv.memory import NOTAB, PvMemory
from xensave.engine.verdict import Refused

if TYPE_CHECKING:
    from xensave.memory.column import Integers
    from xensave.memory.index import PageIndex

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
        self.memory = memory
        self.types = dict(_tables_sent(memory.memory.index))
        self.level_of: dict[int, int] = {}
        self.writable: list[tuple[int, Integers]] = []
        self.todo: list[tuple[int, int]] = []

    def pins(self) -> Iterable[tuple[int, int]]:
        """Yields the pages that libxc pins, each as the table that its type says."""
        for pfn, kind in self.types.items():
            if kind & _PIN and 1 <= kind & _TABLE <= _TOP:
                yield pfn, kind & _TABLE

    def wrong(self, roots: Iterable[tuple[int, int]], gdt: Iterable[int]) -> str | None:
        """Returns what Xen does not take of what the roots, (PFN, level) each, lead to."""
        self.todo = [*roots, *self.pins()]
        while self.todo:
            table = self._table(*self.todo.pop())
            if table is not None:
                return table
        return self._written(gdt)

    def _written(self, gdt: Iterable[int]) -> str | None:
        """Returns which table may write to one, or to the GDT: the first that was walked."""
        import numpy as np

        # No entry names a frame beyond its bits, which a GDT's word may.
        tables, pages = (
            np.array([frame for frame in frames if frame < 1 << _FRAME_BITS], np.int64)
            for frames in (self.level_of, gdt)
        )
        for pfn, frames in self.writable:
            is_table, is_gdt = np.isin(frames, tables), np.isin(frames, pages)
            for at in np.flatnonzero(is_table | is_gdt)[:1].tolist():
                what = "that" if is_table[at] else "the GDT"
                return f"the page table in PFN {pfn:#x} may write to {what} in PFN {frames[at]:#x}"
        return None

    def _table(self, pfn: int, level: int) -> str | None:
        before = self.level_of.get(pfn)
        if before is not None:
            if before == level:
                return None
            return f"PFN {pfn:#x} is a page table of level {before} and of level {level}"
        self.level_of[pfn] = level
        if pfn not in self.memory.memory:
            return None
        entries = self._live(pfn, level)
        if len(entries) and not 1 <= self.types.get(pfn, NOTAB) & _TABLE <= _TOP:
            return f"PFN {pfn:#x} is used as a page table of level {level} and was sent as a page"
        frames = entries >> _FRAME_SHIFT & (1 << _FRAME_BITS) - 1
        writable = entries & _WRITABLE != 0
        if level == 1:
            self.writable.append((pfn, frames[writable]))
            return None
        for frame, may_write in zip(frames.tolist(), writable.tolist(), strict=True):
            if may_write or not self._linear(frame, level):
                self.todo.append((frame, level - 1))
        return None

    def _linear(self, frame: int, level: int) -> bool:
        """Whether an entry for reading names a table of its own level, which it may."""
        return self.types.get(frame, NOTAB) & _TABLE == level

    def _live(self, pfn: int, level: int) -> Integers:
        import numpy as np

        entries = np.frombuffer(self.memory.memory.page(pfn), dtype="<i8")
        live = entries & _PRESENT != 0
        if level == _TOP:
            live[_XEN_SLOTS.start : _XEN_SLOTS.stop] = False
        present: Integers = entries[live]
        return present


def _tables_sent(index: PageIndex) -> Iterator[tuple[int, int]]:
    """Yields the number and the type of each frame that was sent as a table: few of all."""
    for runs in index.windows():
        for run in (runs.type != NOTAB).nonzero()[0].tolist():
            first, kind = int(runs.first[run]), int(runs.type[run])
            yield from ((pfn, kind) for pfn in range(first, first + int(runs.frames[run])))


def refusal(
    memory: PvMemory, roots: Iterable[tuple[int, int]], gdt: Iterable[int] = ()
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
