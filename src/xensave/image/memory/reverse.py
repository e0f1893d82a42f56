"""From physical addresses back to the virtual ones that a guest's page tables give them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from xensave.errors import LimitExceeded
from xensave.memory.address_space import AddressSpace, Mapping


class ReverseMap:
    """Mappings of address spaces by the frames that they map."""

    def __init__(self, spaces: Iterable[AddressSpace]) -> None:
        mappings: set[Mapping] = set()
        for space in spaces:
            if space.mode.levels:
                mappings.update(_mappings(space))
        self._runs = sorted(mappings, key=lambda run: (run.physical, run.virtual))
        self._starts = [run.physical for run in self._runs]
        # How far the runs up to each one reach: behind that, no run before can map an address.
        self._reach: list[int] = []
        for run in self._runs:
            end = run.physical + run.size
            self._reach.append(max(end, self._reach[-1]) if self._reach else end)

    def virtual(self, physical: int) -> list[int]:
        """Return the virtual addresses of a physical one, in ascending order; [] for none."""
        addresses = []
        at = bisect_right(self._starts, physical) - 1
        while at >= 0 and self._reach[at] > physical:
            run = self._runs[at]
            if physical < run.physical + run.size:
                addresses.append(run.virtual + physical - run.physical)
            at -= 1
        return sorted(addresses)


def _mappings(space: AddressSpace) -> list[Mapping]:
    """Return what an address space maps; nothing where its tables are too many to list."""
    try:
        return list(space.mappings())
    except LimitExceeded:
        return []
