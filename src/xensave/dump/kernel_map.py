"""Where a guest's kernel maps memory: the base of its direct map, and its other mappings.

An operating system's kernel maps all of memory in one run, at an address that it draws anew at
each boot (KASLR); the page tables tell it. What else it maps (its image, stacks, modules) points
to the same frames at other addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.errors import LimitExceeded
from xensave.image import Image
from xensave.image.memory.special_pages import mmio_hole
from xensave.memory.address_space import AddressSpace
from xensave.memory.column import Integers
from xensave.memory.mappings import NO_MAPPINGS, Addresses, Mappings
from xensave.memory.physical import Memory

KERNEL_HALF = {48: 0xFFFF800000000000, 57: 0xFF00000000000000, 32: 0x80000000}
"""Where the kernel's half of a linear address space begins, by its width."""

PIECES_LIMIT = 1 << 20
"""The most parts of mappings of which the largest are chosen."""

ROOTS_LIMIT = 16
"""The most page tables that are asked where the kernel is: all vCPUs of one kernel have it."""

_LEAST_SHARE = 2


class KernelMap(NamedTuple):
    """The kernel's mappings: those of its direct map, and the `others` in ascending order.

    `direct_map` is the direct map's base, a virtual minus a physical address; None where no
    mapping has most of memory. What lies in the MMIO hole, a graphics card's memory say, does not
    count as memory: a kernel maps it elsewhere.
    """

    direct_map: int | None
    others: Mappings


def kernel_map(image: Image) -> KernelMap:
    """Returns what the kernel maps, by the page tables of the first vCPU that tells.

    Tables that lead nowhere, or are too many to list, give no mappings.
    """
    best = KernelMap(None, NO_MAPPINGS)
    asked: set[int] = set()
    frames = _memory_frames(image)
    for space in kernel_spaces(image):
        root = space.cr3 & space.mode.root_mask
        if root in asked or len(asked) == ROOTS_LIMIT:
            continue
        asked.add(root)
        kernel = _kernel_map(space, frames)
        if kernel.direct_map is not None:
            return kernel
        best = max(best, kernel, key=lambda each: len(each.others))
    return best


def kernel_spaces(image: Image) -> Iterator[AddressSpace]:
    """Yields the address space of each vCPU's kernel, of those that have paging on."""
    for number in image.vcpu_numbers:
        vcpu = image.vcpu(number)
        if vcpu.mode.levels:
            yield vcpu.kernel_space


def _memory_frames(image: Image) -> int:
    """Returns how many frames have contents, but for those in the MMIO hole."""
    index = image.memory.index
    hole = mmio_hole(image)
    if hole is None:
        return len(index)
    edges = np.array([hole.pfn, hole.pfn + hole.frames], np.int64)
    first, end = (int(position) for position in index.positions(edges))
    return len(index) - (end - first)


def _kernel_map(space: AddressSpace, frames: int) -> KernelMap:
    """Returns what a kernel maps; `frames` is how many its direct map could have."""
    try:
        mappings = space.mappings(KERNEL_HALF[space.mode.width])
    except LimitExceeded:
        return KernelMap(None, NO_MAPPINGS)
    offsets, of = np.unique(mappings.offsets, return_inverse=True)
    shares = np.bincount(of, _present(space.memory, mappings), len(offsets))
    most = int(shares.argmax()) if len(shares) else 0
    if not len(shares) or not shares[most] or shares[most] * _LEAST_SHARE < frames:
        return KernelMap(None, mappings)
    return KernelMap(int(offsets[most]), mappings.where(of != most))


def _present(memory: Memory, mappings: Mappings) -> Integers:
    """Returns how many frames of each mapping have contents."""
    positions = memory.index.positions
    return positions(mappings.end_frames) - positions(mappings.first_frames)


class Pieces(NamedTuple):
    """Parts of mappings, each within one run of frames that have contents: its position in `run`.

    `first` is a part's first frame, `frames` how many it has.
    """

    virtual: Addresses
    first: Integers
    frames: Integers
    run: Integers


def pieces(mappings: Mappings, firsts: Integers, ends: Integers, most: int) -> Pieces:
    """Returns the parts of mappings whose frames are in runs, in the order of the mappings.

    The runs are those of `firsts` and `ends`, in ascending order. Of more than `most` parts they
    are the largest; mappings that cross many runs are then looked at no further than the largest
    of them have so many.
    """
    low = np.searchsorted(ends, mappings.first_frames, "right")
    counts = np.maximum(np.searchsorted(firsts, mappings.end_frames) - low, 0)
    chosen = _largest(mappings.size, counts, max(most, PIECES_LIMIT))
    mappings, low, counts = mappings.where(chosen), low[chosen], counts[chosen]
    of = np.repeat(np.arange(len(mappings)), counts)
    run = np.arange(len(of)) + np.repeat(low - np.cumsum(counts) + counts, counts)
    first = np.maximum(mappings.first_frames[of], firsts[run])
    frames = np.minimum(mappings.end_frames[of], ends[run]) - first
    ahead = (first - mappings.first_frames[of]).view(np.uint64) << np.uint64(PAGE_SHIFT)
    virtual = mappings.virtual[of] + ahead
    if len(of) > most:
        largest = np.sort(np.argsort(-frames, kind="stable")[:most])
        return Pieces(virtual[largest], first[largest], frames[largest], run[largest])
    return Pieces(virtual, first, frames, run)


def _largest(sizes: Integers, counts: Integers, most: int) -> Integers:
    """Returns the positions of the largest of what has parts, at most so many parts of them."""
    order = np.argsort(-sizes, kind="stable")
    return np.sort(order[np.cumsum(counts[order]) <= most])
