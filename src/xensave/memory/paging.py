"""How x86 translates a virtual address: paging modes as data, and one entry of one table.

Source: AMD64 Architecture Programmer's Manual, volume 2, chapter 5; Intel SDM, volume 3, chapter 4.
A PV guest's tables hold frame numbers in an image (the saver puts them there, and cr3 too:
normalise_page() in tools/libs/guest/xg_sr_save_x86_pv.c), so they are walked in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

from xensave.errors import XensaveError
from xensave.memory.registers import Registers

CR0_PG = 1 << 31
CR4_PSE = 1 << 4
CR4_PAE = 1 << 5
CR4_LA57 = 1 << 12
EFER_LMA = 1 << 10

PRESENT = 1 << 0
WRITABLE = 1 << 1
USER = 1 << 2
LARGE = 1 << 7
NO_EXECUTE = 1 << 63
_ADDRESS = (1 << 52) - 1
_PSE36 = 0xFF << 13
_PSE36_SHIFT = 32 - 13


class Level(NamedTuple):
    """One level of tables: its name, the lowest address bit it decides, and how many bits."""

    name: str
    shift: int
    bits: int
    large: bool = False
    flags: bool = True
    """Whether its entries have permissions; those of a PAE directory-pointer table have none."""


class PagingMode(NamedTuple):
    """A paging mode: its levels from the root down, and the bytes of an entry.

    `root_mask` takes the root table's address from CR3; `width` is that of a linear address.
    """

    name: str
    levels: tuple[Level, ...]
    entry_size: int
    root_mask: int
    width: int
    canonical: bool = False

    def number(self, level: Level, virtual: int) -> int:
        """Returns which entry of a level's table translates an address."""
        return virtual >> level.shift & (1 << level.bits) - 1

    def is_canonical(self, virtual: int) -> bool:
        """Tells whether the bits above the mode's width are as they must be."""
        if not self.canonical:
            return 0 <= virtual < 1 << self.width
        high = virtual >> self.width - 1
        return high in (0, (1 << 65 - self.width) - 1)


_PT = Level("PT", 12, 9)
_PD = Level("PD", 21, 9, large=True)
_PDPT = Level("PDPT", 30, 9, large=True)
_PML4 = Level("PML4", 39, 9)
_PML5 = Level("PML5", 48, 9)
_TABLE = _ADDRESS & ~0xFFF

NO_PAGING = PagingMode("no paging", (), 0, 0, 32)
TWO_LEVEL = PagingMode("2-level", (Level("PD", 22, 10), Level("PT", 12, 10)), 4, 0xFFFFF000, 32)
TWO_LEVEL_PSE = TWO_LEVEL._replace(
    name="2-level with PSE", levels=(Level("PD", 22, 10, large=True), Level("PT", 12, 10))
)
PAE = PagingMode("PAE", (Level("PDPT", 30, 2, flags=False), _PD, _PT), 8, _ADDRESS & ~0x1F, 32)
FOUR_LEVEL = PagingMode("4-level", (_PML4, _PDPT, _PD, _PT), 8, _TABLE, 48, canonical=True)
FIVE_LEVEL = PagingMode("5-level", (_PML5, _PML4, _PDPT, _PD, _PT), 8, _TABLE, 57, canonical=True)


def paging_mode(registers: Registers) -> PagingMode:
    """Returns the mode that control registers select.

    >>> paging_mode(Registers(cr0=0x80050033, cr4=0x5506B0, efer=0xD01)).name
    '4-level'
    """
    if not registers.cr0 & CR0_PG:
        return NO_PAGING
    if registers.efer & EFER_LMA:
        return FIVE_LEVEL if registers.cr4 & CR4_LA57 else FOUR_LEVEL
    if registers.cr4 & CR4_PAE:
        return PAE
    return TWO_LEVEL_PSE if registers.cr4 & CR4_PSE else TWO_LEVEL


class Translation(NamedTuple):
    """Where a virtual address lies, and the page that maps it: its size and permissions."""

    physical: int
    size: int = 1 << 12
    writable: bool = True
    user: bool = True
    executable: bool = True


class NotMapped(XensaveError, LookupError):
    """A virtual address that the guest's tables do not map.

    `level` names the level whose `entry` ends the walk, both None for an address that is not
    canonical.
    """

    def __init__(
        self, virtual: int, why: str, level: str | None = None, entry: int | None = None
    ) -> None:
        super().__init__(f"virtual address {virtual:#x} is not mapped: {why}")
        self.virtual = virtual
        self.level = level
        self.entry = entry


def large_page(mode: PagingMode, level: Level, entry: int) -> int:
    """Returns the physical address of the large page that an entry maps."""
    if mode.entry_size == 8:
        return entry & _ADDRESS & -1 << level.shift
    return entry & -1 << level.shift | (entry & _PSE36) << _PSE36_SHIFT


def next_table(mode: PagingMode, entry: int) -> int:
    """Returns the physical address of the table, or the small page, that an entry names."""
    return entry & (_TABLE if mode.entry_size == 8 else 0xFFFFF000)
