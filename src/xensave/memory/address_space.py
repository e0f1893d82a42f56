"""Virtual memory of a saved guest: one set of page tables over its physical memory."""

from __future__ import annotations

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.errors import LimitExceeded, UsageError
from xensave.memory import paging
from xensave.memory.mappings import LAST_ADDRESS, Mappings, list_mappings
from xensave.memory.paging import Level, NotMapped, PagingMode, Translation
from xensave.memory.physical import AbsentPage, Memory
from xensave.source.limits import READ_LIMIT


class AddressSpace:
    """What a guest's page tables map: `cr3` names the root, `mode` says how they are walked."""

    def __init__(self, memory: Memory, mode: PagingMode, cr3: int) -> None:
        self.memory = memory
        self.mode = mode
        self.cr3 = cr3

    def translate(self, virtual: int) -> Translation:
        """Returns where a virtual address lies. Raises NotMapped, which names level and entry."""
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
        """Returns n bytes from a virtual address.

        What is not mapped raises NotMapped, a frame without contents AbsentPage; with
        `zero=True` either reads as zeros.

        Raises LimitExceeded above READ_LIMIT, UsageError for a negative length.
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

    def mappings(self, first: int = 0, last: int = LAST_ADDRESS) -> Mappings:
        """Returns the mappings of an address range in ascending order, neighbours joined.

        Tables that the image has no contents of map nothing. Raises LimitExceeded where there
        are too many tables to read, or too many runs.
        """
        root = self.cr3 & self.mode.root_mask
        return list_mappings(self.memory, self.mode, root, first, last)

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
