"""From physical addresses back to the virtual ones that a guest's page tables give them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.errors import LimitExceeded
from xensave.memory.address_space import AddressSpace
from xensave.memory.column import Integers
from xensave.memory.mappings import NO_MAPPINGS, Lister
from xensave.memory.paging import PagingMode

ADDRESSES_LIMIT = 1 << 10
"""The most virtual addresses that one physical address is told to have."""

_IN_PAGE = (1 << PAGE_SHIFT) - 1


class ReverseMap:
    """Mappings of address spaces by the frames that they map.

    Of tables that are too many to list those count that were read.
    """

    def __init__(self, spaces: Iterable[AddressSpace]) -> None:
        listers: dict[PagingMode, Lister] = {}
        for space in spaces:
            mode = space.mode
            if not mode.levels:
                continue
            lister = listers.setdefault(mode, Lister(space.memory, mode))
            try:
                lister.add(space.cr3 & mode.root_mask)
            except LimitExceeded:
                break
        runs = [lister.runs for lister in listers.values()] or [NO_MAPPINGS]
        physical = np.concatenate([run.physical for run in runs])
        order = np.argsort(physical, kind="stable")
        self._starts = physical[order].data
        self._virtual = np.concatenate([run.virtual for run in runs])[order].data
        sizes = np.concatenate([run.size for run in runs])[order]
        # How far the runs reach: each, every two, every four, and so on.
        self._reaches = [level.data for level in _reaches(physical[order] + sizes)]
        self._near: tuple[int, list[int]] = (-1, [])

    def virtual(self, physical: int) -> list[int]:
        """Returns the virtual addresses of a physical one, in ascending order; [] for none.

        Of more than ADDRESSES_LIMIT they are some.
        """
        frame = physical >> PAGE_SHIFT
        if self._near[0] != frame:
            self._near = frame, self._of_page(frame << PAGE_SHIFT)
        within = physical & _IN_PAGE
        return [page + within for page in self._near[1]]

    def _of_page(self, page: int) -> list[int]:
        addresses: set[int] = set()
        end = bisect_right(self._starts, page)
        # Runs by twos of twos, down to those that begin up to the page and reach beyond it.
        looked_at = [(len(self._reaches) - 1, 0)]
        while looked_at and len(addresses) < ADDRESSES_LIMIT:
            level, at = looked_at.pop()
            if at << level >= end or self._reaches[level][at] <= page:
                continue
            if level:
                looked_at += ((level - 1, 2 * at + 1), (level - 1, 2 * at))
            else:
                addresses.add(self._virtual[at] + page - self._starts[at])
        return sorted(addresses)


def _reaches(ends: Integers) -> Iterator[Integers]:
    """Yields the ends, the larger of each two of them, of each two of those, down to one."""
    yield ends
    while len(ends) > 1:
        ends = np.maximum.reduceat(ends, np.arange(0, len(ends), 2))
        yield ends
