"""Memory, page by page: contents are hashed as they are passed, and never held.

A page costs 17 bytes here: its frame, its type and a hash (XXH3, 64 bits; frames are compared one
by one, so a chance collision hides a change in one of 2^64 pages).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SIZE
from xensave.image import Image
from xensave.memory import build_index
from xensave.memory.batches import batches, page_data
from xensave.memory.column import Integers

if TYPE_CHECKING:
    Hashes = NDArray[np.uint64]

ZERO_HASH = xxhash.xxh3_64_intdigest(bytes(PAGE_SIZE))


class Memory(NamedTuple):
    """The frames with contents in ascending order, and for each its page type and hash."""

    frames: Integers
    types: NDArray[np.uint8]
    hashes: Hashes


class MemoryChange(NamedTuple):
    """Frames that differ: in contents, in page type, or in having contents at all.

    `zeroed` are those of `changed` that hold only zeros now. `old` and `new` count the pages.
    """

    old: int
    new: int
    changed: Integers
    zeroed: Integers
    appeared: Integers
    vanished: Integers
    retyped: Integers

    @property
    def differs(self) -> bool:
        """Whether any frame differs."""
        return any(map(len, (self.changed, self.appeared, self.vanished, self.retyped)))


def memory_of(image: Image) -> Memory:
    """Walks an image once, and hashes its pages: which contents count, `xensave.memory` knows.

    Raises Malformed where a PAGE_DATA record has not as many pages as it lists.
    """
    pages = _Pages()
    index = build_index(batches(pages.hashed(image.read_events())))
    return Memory(index.pfns, index.types.astype(np.uint8), pages.at(index.offsets))


class _Pages:
    """Hashes of pages by the offset of each, in the order of the stream."""

    def __init__(self) -> None:
        self._offsets: list[Integers] = []
        self._hashes: list[Hashes] = []

    def hashed(self, events: Iterable[Event]) -> Iterator[Event]:
        """Passes events on, and hashes the pages of each."""
        for event in events:
            if event.is_record(LIBXC, libxc.PAGE_DATA):
                offsets = page_data(event).offsets
                if len(offsets):
                    hashes = np.fromiter(_hashes(event, len(offsets)), np.uint64, len(offsets))
                    self._offsets.append(offsets)
                    self._hashes.append(hashes)
            yield event

    def at(self, offsets: Integers) -> Hashes:
        """Returns the hashes of the pages at these offsets."""
        if not self._offsets:
            return np.empty(0, np.uint64)
        return np.concatenate(self._hashes)[np.searchsorted(np.concatenate(self._offsets), offsets)]


def compare_memory(old: Memory, new: Memory) -> MemoryChange:
    """Compares two memories frame by frame."""
    common, left, right = np.intersect1d(
        old.frames, new.frames, assume_unique=True, return_indices=True
    )
    differ = old.hashes[left] != new.hashes[right]
    zeroed = differ & (new.hashes[right] == np.uint64(ZERO_HASH))
    return MemoryChange(
        old=len(old.frames),
        new=len(new.frames),
        changed=common[differ],
        zeroed=common[zeroed],
        appeared=np.setdiff1d(new.frames, old.frames, assume_unique=True),
        vanished=np.setdiff1d(old.frames, new.frames, assume_unique=True),
        retyped=common[old.types[left] != new.types[right]],
    )


def ranges(frames: Integers) -> list[tuple[int, int]]:
    """Returns first and last of each run of neighbouring frames.

    >>> ranges(np.array([1, 2, 3, 7]))
    [(1, 3), (7, 7)]
    """
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(run[0]), int(run[-1])) for run in np.split(frames, breaks)]


def _hashes(event: Event, pages: int) -> Iterator[int]:
    body = memoryview(event.body())
    start = event.length - PAGE_SIZE * pages
    for at in range(start, event.length, PAGE_SIZE):
        yield xxhash.xxh3_64_intdigest(body[at : at + PAGE_SIZE])
