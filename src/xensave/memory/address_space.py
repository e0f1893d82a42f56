"""Virtual memory of a saved guest: one set of page tables over its physical memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.errors import LimitExceeded, UsageError
from xensave.memory import paging
from xensave.memory.column import Integers
from xensave.memory.paging import Level, NotMapped, PagingMode, Translation
from xensave.memory.physical import AbsentPage, Memory
from xensave.source.limits import READ_LIMIT

TABLES_LIMIT = 1 << 17
"""The most tables that listing a guest's mappings reads; as small pages they map 256 GiB."""

MAPPINGS_LIMIT = 1 << 20
"""The most runs that such a list has."""


class Mapping(NamedTuple):
    """A run of virtual addresses that lies as a run in physical memory too."""

    virtual: int
    physical: int
    size: int


class AddressSpace:
    """What a guest's page tables map: `cr3` names the root, `mode` says how they are walked."""

    def __init__(self, memory: Memory, mode: PagingMode, cr3: int) -> None:
        self.memory = memory
        self.mode = mode
        self.cr3 = cr3

    def translate(self, virtual: int) -> Translation:
        """Return where a virtual address lies. Raises NotMapped, which names level and entry."""
        mode = self.mode
        if not mode.is_canonical(virtual):
            raise NotMapped(virtual, f"it is no address of {mode.width} bits")
        table = self.cr3 & mode.root_mask
        if not mode.levels:
            return Translation(virtual)
        rights = paging.WRITABLE | paging.USER
        executable = True
        for level in mode.levels:
            number = mode.number(level, virtual)
            entry = self._entry(level, table, number, virtual)
            if not entry & paging.PRESENT:
                raise NotMapped(
                    virtual, f"{level.name}[{number}] is {entry:#x}, not present", level.name, entry
                )
            if level.flags:
                rights &= entry
            executable = executable and not entry & paging.NO_EXECUTE
            large = level.large and bool(entry & paging.LARGE)
            if large or level is mode.levels[-1]:
                size = 1 << level.shift
                page = paging.large_page if large else _small_page
                return Translation(
                    page(mode, level, entry) | virtual & size - 1,
                    size,
                    bool(rights & paging.WRITABLE),
                    bool(rights & paging.USER),
                    executable,
                )
            table = paging.next_table(mode, entry)
        raise AssertionError("the last level maps or raises")

    def read(self, virtual: int, n: int, *, zero: bool = False) -> bytes:
        """Return n bytes from a virtual address.

        What is not mapped raises NotMapped, a frame without contents AbsentPage; with
        `zero=True` either reads as zeros.
        """
        if n < 0:
            raise UsageError(f"no {n} bytes")
        if n > READ_LIMIT:
            raise LimitExceeded(f"asked for {n} bytes at once, the limit is {READ_LIMIT}")
        parts = []
        end = virtual + n
        while virtual < end:
            try:
                place = self.translate(virtual)
                size = min(end - virtual, place.size - (place.physical & place.size - 1))
                parts.append(self.memory.read(place.physical, size, zero=zero))
            except (NotMapped, AbsentPage):
                if not zero:
                    raise
                size = min(end - virtual, PAGE_SIZE - (virtual & PAGE_SIZE - 1))
                parts.append(bytes(size))
            virtual += size
        return b"".join(parts)

    def mappings(self, first: int = 0, last: int = (1 << 64) - 1) -> Iterator[Mapping]:
        """Yield the mappings of an address range in ascending order, neighbours joined.

        Tables that the image has no contents of map nothing. Raises LimitExceeded where there
        are more than TABLES_LIMIT tables to read, or MAPPINGS_LIMIT runs of small pages.
        """
        if not self.mode.levels:
            yield Mapping(0, 0, 1 << self.mode.width)
            return
        before: Mapping | None = None
        for mapping in _Lister(self, first, last).table(0, self.cr3 & self.mode.root_mask, 0):
            if (
                before is not None
                and mapping.virtual == before.virtual + before.size
                and mapping.physical == before.physical + before.size
            ):
                before = before._replace(size=before.size + mapping.size)
                continue
            if before is not None:
                yield before
            before = mapping
        if before is not None:
            yield before

    def _entry(self, level: Level, table: int, number: int, virtual: int) -> int:
        size = self.mode.entry_size
        at = table + number * size
        try:
            return int.from_bytes(self.memory.read(at, size), "little")
        except AbsentPage as absent:
            raise NotMapped(
                virtual, f"the {level.name} at {table:#x} is not in the image", level.name
            ) from absent


def _small_page(mode: PagingMode, _level: Level, entry: int) -> int:
    return paging.next_table(mode, entry)


class _Lister:
    """Reads whole tables, and yields what they map between two addresses."""

    def __init__(self, space: AddressSpace, first: int, last: int) -> None:
        self._memory = space.memory
        self._mode = space.mode
        self._first = first
        self._last = last
        self._tables = TABLES_LIMIT
        self._mappings = MAPPINGS_LIMIT

    def table(self, depth: int, at: int, base: int) -> Iterator[Mapping]:
        """Yield what a table maps, its first entry at virtual address `base`."""
        mode = self._mode
        level = mode.levels[depth]
        entries = self._entries(level, at)
        numbers = np.flatnonzero(entries & paging.PRESENT)
        if depth == len(mode.levels) - 1:
            yield from self._pages(level, entries, numbers, base)
            return
        for number in numbers.tolist():
            virtual = self._virtual(level, base, number)
            if virtual > self._last or virtual + (1 << level.shift) <= self._first:
                continue
            entry = int(entries[number]) & (1 << 64) - 1
            if level.large and entry & paging.LARGE:
                physical = paging.large_page(mode, level, entry)
                yield Mapping(virtual, physical, 1 << level.shift)
            else:
                yield from self.table(depth + 1, paging.next_table(mode, entry), virtual)

    def _pages(
        self, level: Level, entries: Integers, numbers: Integers, base: int
    ) -> Iterator[Mapping]:
        """Yield the runs of small pages that a table of the last level maps."""
        if not len(numbers):
            return
        frames = (entries[numbers] & paging.next_table(self._mode, -1)) >> PAGE_SHIFT
        breaks = (np.diff(numbers) != 1) | (np.diff(frames) != 1)
        starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        counts = np.diff(starts, append=len(numbers))
        self._mappings -= len(counts)
        if self._mappings < 0:
            raise LimitExceeded(f"page tables with more than {MAPPINGS_LIMIT:,} runs")
        for at, count in zip(starts.tolist(), counts.tolist(), strict=True):
            virtual = base + (int(numbers[at]) << level.shift)
            size = count << PAGE_SHIFT
            if virtual <= self._last and virtual + size > self._first:
                yield Mapping(virtual, int(frames[at]) << PAGE_SHIFT, size)

    def _virtual(self, level: Level, base: int, number: int) -> int:
        virtual = base + (number << level.shift)
        mode = self._mode
        if mode.canonical and level is mode.levels[0] and virtual >> mode.width - 1:
            virtual |= -1 << mode.width & (1 << 64) - 1
        return virtual

    def _entries(self, level: Level, at: int) -> Integers:
        self._tables -= 1
        if self._tables < 0:
            raise LimitExceeded(f"more than {TABLES_LIMIT:,} page tables")
        size = self._mode.entry_size
        try:
            data = self._memory.read(at, size << level.bits)
        except AbsentPage:
            return np.empty(0, np.int64)
        return np.frombuffer(data, "<i8" if size == 8 else "<u4").astype(np.int64)
