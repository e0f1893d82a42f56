"""Where a guest's kernel maps memory: the base of its direct map, and its other mappings.

An operating system's kernel maps all of memory in one run, at an address that it draws anew at
each boot (KASLR); the page tables tell it. What else it maps (its image, stacks, modules) points
to the same frames at other addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.errors import LimitExceeded
from xensave.image import Image
from xensave.memory.address_space import AddressSpace, Mapping
from xensave.memory.physical import Memory

KERNEL_HALF = {48: 0xFFFF800000000000, 57: 0xFF00000000000000, 32: 0x80000000}
"""Where the kernel's half of a linear address space begins, by its width."""

_LEAST_SHARE = 2


class KernelMap(NamedTuple):
    """The kernel's mappings: those of its direct map, and the `others` in ascending order.

    `direct_map` is the direct map's base, a virtual minus a physical address; None where no
    mapping has most of memory.
    """

    direct_map: int | None
    others: tuple[Mapping, ...]


def kernel_map(image: Image) -> KernelMap:
    """Return what the kernel maps, by the page tables of the first vCPU that tells.

    Tables that lead nowhere, or are too many to list, give no mappings.
    """
    best = KernelMap(None, ())
    for space in kernel_spaces(image):
        kernel = _kernel_map(space)
        if kernel.direct_map is not None:
            return kernel
        best = max(best, kernel, key=lambda each: len(each.others))
    return best


def kernel_spaces(image: Image) -> Iterator[AddressSpace]:
    """Yield the address space of each vCPU's kernel, of those that have paging on."""
    for number in image.vcpu_numbers:
        vcpu = image.vcpu(number)
        if vcpu.mode.levels:
            yield vcpu.kernel_space


def _kernel_map(space: AddressSpace) -> KernelMap:
    try:
        mappings = list(space.mappings(KERNEL_HALF[space.mode.width]))
    except LimitExceeded:
        return KernelMap(None, ())
    shares: Counter[int] = Counter()
    for run in mappings:
        shares[run.virtual - run.physical] += _present(space.memory, run)
    base, share = max(shares.items(), key=lambda each: each[1], default=(0, 0))
    if share * _LEAST_SHARE < len(space.memory.index):
        return KernelMap(None, tuple(mappings))
    others = tuple(run for run in mappings if run.virtual - run.physical != base)
    return KernelMap(base, others)


def _present(memory: Memory, run: Mapping) -> int:
    """Return how many frames of a mapping have contents."""
    first, end = run.physical >> PAGE_SHIFT, run.physical + run.size >> PAGE_SHIFT
    return memory.index.find(end) - memory.index.find(first)


def pieces(memory: Memory, run: Mapping) -> Iterator[Mapping]:
    """Yield the parts of a mapping whose frames have contents."""
    first, end = run.physical >> PAGE_SHIFT, run.physical + run.size >> PAGE_SHIFT
    pfns = memory.index.pfns[memory.index.find(first) : memory.index.find(end)]
    if not len(pfns):
        return
    breaks = np.flatnonzero(np.diff(pfns) != 1) + 1
    for part in np.split(pfns, breaks):
        at = int(part[0]) << PAGE_SHIFT
        yield Mapping(run.virtual + at - run.physical, at, len(part) << PAGE_SHIFT)
