"""What page tables map, all of it: runs of virtual addresses as columns, read table by table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.errors import LimitExceeded
from xensave.memory import paging
from xensave.memory.column import Column, Integers
from xensave.memory.paging import Level, PagingMode
from xensave.memory.physical import AbsentPage, Memory

TABLES_LIMIT = 1 << 17
"""The most tables that listing a guest's mappings reads; as small pages they map 256 GiB."""

MAPPINGS_LIMIT = 1 << 20
"""The most runs that such a list has."""

LAST_ADDRESS = _WORD = (1 << 64) - 1

_ENTRY = 8
"""The bytes of an entry of which one mask takes the address."""

Addresses = npt.NDArray[np.uint64]


class Mapping(NamedTuple):
    """A run of virtual addresses that lies as a run in physical memory too."""

    virtual: int
    physical: int
    size: int


class Mappings:
    """Runs of virtual addresses in ascending order, as columns; `size` in bytes.

    Neighbours that follow one another in both memories are one.
    """

    def __init__(self, virtual: Addresses, physical: Integers, size: Integers) -> None:
        self.virtual = virtual
        self.physical = physical
        self.size = size

    def __len__(self) -> int:
        return len(self.virtual)

    def __iter__(self) -> Iterator[Mapping]:
        columns = (self.virtual.tolist(), self.physical.tolist(), self.size.tolist())
        return map(Mapping, *columns)

    def where(self, chosen: npt.NDArray[np.bool_] | Integers) -> Mappings:
        """Returns some of the runs: those of a mask, or of positions in ascending order."""
        return Mappings(self.virtual[chosen], self.physical[chosen], self.size[chosen])

    @property
    def offsets(self) -> Addresses:
        """The virtual address of each run minus its physical one, modulo 2 ** 64."""
        return self.virtual - self.physical.view(np.uint64)

    @property
    def first_frames(self) -> Integers:
        """The first frame of each run."""
        return self.physical >> PAGE_SHIFT

    @property
    def end_frames(self) -> Integers:
        """The frame after the last one of each run."""
        return self.physical + self.size >> PAGE_SHIFT


NO_MAPPINGS = Mappings(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))


def list_mappings(memory: Memory, mode: PagingMode, root: int, first: int, last: int) -> Mappings:
    """Returns what the tables below a root map between two virtual addresses.

    Tables that the image has no contents of map nothing. Raises LimitExceeded where there are
    more than TABLES_LIMIT tables to read, or MAPPINGS_LIMIT runs in them.
    """
    if not mode.levels:
        return Mappings(np.zeros(1, np.uint64), np.zeros(1, np.int64), np.array([1 << mode.width]))
    lister = Lister(memory, mode, first, last)
    lister.add(root)
    return lister.joined()


class Lister:
    """Reads whole tables, and takes down what they map between two addresses.

    What several roots share is read once.
    """

    def __init__(
        self, memory: Memory, mode: PagingMode, first: int = 0, last: int = LAST_ADDRESS
    ) -> None:
        self._memory = memory
        self._mode = mode
        self._first = first
        self._last = last
        self._read: set[tuple[int, int, int]] = set()
        self._virtual, self._physical, self._size = Column(), Column(), Column()

    def add(self, root: int) -> None:
        """Takes in the tables below a root. Raises LimitExceeded as `list_mappings` does."""
        self._table(0, root, 0)

    @property
    def runs(self) -> Mappings:
        """What was taken in, table by table. Ask when all is."""
        return Mappings(
            self._virtual.array().view(np.uint64), self._physical.array(), self._size.array()
        )

    def joined(self) -> Mappings:
        """Returns the runs of one root, with those that go on where one ends joined to it."""
        virtual, physical, size = (
            column.array() for column in (self._virtual, self._physical, self._size)
        )
        begins = np.ones(len(virtual), np.bool_)
        begins[1:] = virtual[1:] != virtual[:-1] + size[:-1]
        begins[1:] |= physical[1:] != physical[:-1] + size[:-1]
        starts = np.flatnonzero(begins)
        sizes = np.add.reduceat(size, starts) if len(starts) else size
        return Mappings(virtual[starts].view(np.uint64), physical[starts], sizes)

    def _table(self, depth: int, at: int, base: int) -> None:
        """Takes down what a table maps, its first entry at virtual address `base`."""
        if (depth, at, base) in self._read:
            return
        if len(self._read) == TABLES_LIMIT:
            raise LimitExceeded(f"more than {TABLES_LIMIT:,} page tables")
        self._read.add((depth, at, base))
        level = self._mode.levels[depth]
        entries = self._entries(level, at)
        numbers = np.flatnonzero(entries & paging.PRESENT)
        if depth == len(self._mode.levels) - 1:
            self._add(level, base, numbers, entries[numbers] & paging.next_table(self._mode, -1))
            return
        large = np.zeros(len(numbers), np.bool_)
        if level.large:
            large = entries[numbers] & paging.LARGE != 0
        begun = 0
        for position in [*np.flatnonzero(~large).tolist(), len(numbers)]:
            if begun < position:
                pages = numbers[begun:position]
                self._add(level, base, pages, self._large_pages(level, entries[pages]))
            if position < len(numbers):
                self._below(depth, int(entries[numbers[position]]), base, int(numbers[position]))
            begun = position + 1

    def _below(self, depth: int, entry: int, base: int, number: int) -> None:
        level = self._mode.levels[depth]
        virtual = self._address(level, base, number)
        if virtual <= self._last and virtual + (1 << level.shift) > self._first:
            self._table(depth + 1, paging.next_table(self._mode, entry & _WORD), virtual)

    def _add(self, level: Level, base: int, numbers: Integers, physical: Integers) -> None:
        """Takes down pages of one table, runs of them as one."""
        if not len(numbers):
            return
        size = 1 << level.shift
        begins = np.ones(len(numbers), np.bool_)
        begins[1:] = (np.diff(numbers) != 1) | (np.diff(physical) != size)
        starts = np.flatnonzero(begins)
        sizes = np.diff(starts, append=len(numbers)) << level.shift
        # Only the root's entries reach the bits that an address repeats, and none is a page.
        virtual = np.uint64(base) + (numbers[starts].astype(np.uint64) << np.uint64(level.shift))
        wanted = virtual <= np.uint64(self._last)
        wanted &= virtual + (sizes - 1).view(np.uint64) >= np.uint64(self._first)
        self._virtual.extend(virtual[wanted].view(np.int64))
        self._physical.extend(physical[starts][wanted])
        self._size.extend(sizes[wanted])
        if len(self._size) > MAPPINGS_LIMIT:
            raise LimitExceeded(f"page tables with more than {MAPPINGS_LIMIT:,} runs")

    def _large_pages(self, level: Level, entries: Integers) -> Integers:
        if self._mode.entry_size == _ENTRY:
            return entries & paging.large_page(self._mode, level, _WORD)
        pages = [paging.large_page(self._mode, level, entry & _WORD) for entry in entries.tolist()]
        return np.array(pages, np.int64)

    def _address(self, level: Level, base: int, number: int) -> int:
        virtual = base + (number << level.shift)
        mode = self._mode
        if mode.canonical and level is mode.levels[0] and virtual >> mode.width - 1:
            virtual |= -1 << mode.width & _WORD
        return virtual

    def _entries(self, level: Level, at: int) -> Integers:
        size = self._mode.entry_size
        try:
            data = self._memory.read(at, size << level.bits)
        except AbsentPage:
            return np.empty(0, np.int64)
        return np.frombuffer(data, "<i8" if size == _ENTRY else "<u4").astype(np.int64)
