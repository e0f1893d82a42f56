"""Memory, page by page: contents are hashed as they are passed, and never held.

A page costs 17 bytes here: its frame, its type and a hash (XXH3, 64 bits; frames are compared one
by one, so a chance collision hides a change in one of 2^64 pages).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from xensave.container import libxc
from xensave.container.events import LIBXC, Event
from xensave.container.libxc import PAGE_SIZE
from xensave.container.libxc_records import (
    DATALESS_TYPES,
    PAIR,
    PFN_MASK,
    TYPE_SHIFT,
)
from xensave.errors import Malformed
from xensave.image import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.uint64]

ZERO_HASH = xxhash.xxh3_64_intdigest(bytes(PAGE_SIZE))
_DATALESS = np.array(sorted(DATALESS_TYPES), np.uint64)


class Memory(NamedTuple):
    """The frames with contents in ascending order, and for each its page type and hash."""

    frames: Frames
    types: NDArray[np.uint8]
    hashes: Frames


class MemoryChange(NamedTuple):
    """Frames that differ: in contents, in page type, or in having contents at all.

    `zeroed` are those of `changed` that hold only zeros now. `old` and `new` count the pages.
    """

    old: int
    new: int
    changed: Frames
    zeroed: Frames
    appeared: Frames
    vanished: Frames
    retyped: Frames

    @property
    def differs(self) -> bool:
        """Whether any frame differs."""
        return any(map(len, (self.changed, self.appeared, self.vanished, self.retyped)))


def memory_of(image: Image) -> Memory:
    """Walk an image once, and hash its pages: the last contents of a frame count.

    Raises Malformed where a PAGE_DATA record has not as many pages as it lists.
    """
    pages = _Pages()
    image.read(pages.add)
    return pages.memory()


class _Pages:
    """Gathers frames and hashes, record by record, up to a VERIFY: what follows is no memory."""

    def __init__(self) -> None:
        self._listed: list[Frames] = []
        self._hashes: list[Frames] = []
        self._verifying = False

    def add(self, event: Event) -> None:
        if event.is_record(LIBXC, libxc.VERIFY):
            self._verifying = True
        if self._verifying or not event.is_record(LIBXC, libxc.PAGE_DATA):
            return
        listed = _listed(event)
        if len(listed):
            self._listed.append(listed)
            self._hashes.append(np.fromiter(_hashes(event, len(listed)), np.uint64, len(listed)))

    def memory(self) -> Memory:
        listed = _joined(self._listed)[::-1]
        hashes = _joined(self._hashes)[::-1]
        # The first of what is reversed was sent last.
        frames, first = np.unique(listed & np.uint64(PFN_MASK), return_index=True)
        types = (listed[first] >> np.uint64(TYPE_SHIFT)).astype(np.uint8)
        return Memory(frames, types, hashes[first])


def compare_memory(old: Memory, new: Memory) -> MemoryChange:
    """Compare two memories frame by frame."""
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


def ranges(frames: Frames) -> list[tuple[int, int]]:
    """Return first and last of each run of neighbouring frames.

    >>> ranges(np.array([1, 2, 3, 7], np.uint64))
    [(1, 3), (7, 7)]
    """
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(run[0]), int(run[-1])) for run in np.split(frames, breaks)]


def _joined(parts: list[Frames]) -> Frames:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _listed(event: Event) -> Frames:
    """Return the entries of a record that have contents: a frame, its type in the top bits."""
    count, _ = PAIR.unpack(event.prefix(PAIR.size)) if event.length >= PAIR.size else (0, 0)
    front = PAIR.size + 8 * count
    if front > event.length:
        raise Malformed(
            f"{count} PFNs in {event.length} bytes", offset=event.offset, record=event.label
        )
    listed: Frames = np.frombuffer(event.prefix(front), "<u8", count, PAIR.size)
    filled = listed[~np.isin(listed >> np.uint64(TYPE_SHIFT), _DATALESS)]
    if front + PAGE_SIZE * len(filled) != event.length:
        raise Malformed(
            f"{len(filled)} pages in {event.length - front} bytes",
            offset=event.offset,
            record=event.label,
        )
    return filled


def _hashes(event: Event, pages: int) -> Iterator[int]:
    body = memoryview(event.body())
    start = event.length - PAGE_SIZE * pages
    for at in range(start, event.length, PAGE_SIZE):
        yield xxhash.xxh3_64_intdigest(body[at : at + PAGE_SIZE])
