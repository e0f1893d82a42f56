"""Contents of frames, to be compared: where they lie in a mapped file, or hashes of what passed.

Two files are compared where they lie. Each page of a pipe or compressed input is hashed as it
passes, and never held: 8 bytes of a page (XXH3; frames are compared one by one, so a chance
collision hides a change in one of 2^64 pages). So are the pages of files that have them in orders
of their own: to compare few at a time takes longer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import xxhash

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.memory.batches import page_data
from xensave.memory.column import Integers
from xensave.memory.contents import pages_with_data
from xensave.memory.physical import FrameRun
from xensave.source.memory import MemorySource
from xensave.source.threads import fetch, in_threads, let_go

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
# numpy would write down of each byte whether it is alike, which takes a third more time.

Hashes: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]

ZERO_HASH = xxhash.xxh3_64_intdigest(bytes(PAGE_SIZE))

_WINDOW = 256
"""Pages that are compared at once, and page by page where they differ."""

_WINDOWS = 8
"""Windows that a thread takes at a time."""

_THREADS = 2

_FEW = 16
"""Where fewer pages than these follow one another, to hash each takes less time."""


class Difference(NamedTuple):
    """Which frames have other contents, and which of those hold only zeros now."""

    changed: Mask
    zeroed: Mask


class Hashed:
    """Contents that passed: a hash of each frame's."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes

    def hashes(self, frames: Integers) -> Hashes:
        """Returns the hashes of some frames, by their positions."""
        return self._hashes[frames]


class Placed:
    """Contents that lie in a mapped file: the offset of each frame's."""

    def __init__(self, source: MemorySource, offsets: Integers) -> None:
        self.source = source
        self.offsets = offsets

    def hashes(self, frames: Integers) -> Hashes:
        """Returns the hashes of some frames, by their positions."""
        offsets = self.offsets[frames]
        order = np.argsort(offsets)
        hashes = np.empty(len(offsets), np.uint64)
        hashes[order] = np.fromiter(self._each(offsets[order]), np.uint64, len(offsets))
        return hashes

    def _each(self, offsets: Integers) -> Iterator[int]:
        for offset in offsets.tolist():
            yield xxhash.xxh3_64_intdigest(self.source.read_range(offset, PAGE_SIZE))


Contents: TypeAlias = Hashed | Placed


def difference(old: Contents, left: Integers, new: Contents, right: Integers) -> Difference:
    """Compares contents frame by frame; the frames are given by their positions in each."""
    if isinstance(old, Placed) and isinstance(new, Placed):
        comparer = _Comparer(old, left, new, right)
        if comparer.pays:
            return comparer.difference()
    hashes = new.hashes(right)
    changed = old.hashes(left) != hashes
    return Difference(changed, changed & (hashes == np.uint64(ZERO_HASH)))


class Hasher:
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


def _hashes(event: Event, pages: int) -> Iterator[int]:
    body = memoryview(event.body())
    start = event.length - PAGE_SIZE * pages
    for at in range(start, event.length, PAGE_SIZE):
        yield xxhash.xxh3_64_intdigest(body[at : at + PAGE_SIZE])


class _Window(NamedTuple):
    """Pages that follow one another in both files: of which frame the first is, and how many."""

    frame: int
    pages: int
    old: int
    new: int


class _Comparer:
    """Compares the pages of two files window by window, on two threads."""

    def __init__(self, old: Placed, left: Integers, new: Placed, right: Integers) -> None:
        self._old, self._new = old.source, new.source
        self._before, self._after = old.offsets[left], new.offsets[right]
        together = (np.diff(self._before) == PAGE_SIZE) & (np.diff(self._after) == PAGE_SIZE)
        self._starts = np.concatenate(([0], np.flatnonzero(~together) + 1))[: len(left)]
        self._changed = np.zeros(len(left), np.bool_)
        self._zeroed = np.zeros(len(left), np.bool_)

    @property
    def pays(self) -> bool:
        """Whether enough pages follow one another in both files."""
        return len(self._starts) * _FEW <= len(self._before)

    def difference(self) -> Difference:
        """Looks at all pages but those that lie in a hole of both files."""
        for _ in in_threads(self._jobs(), self._compare, _THREADS):
            pass
        return Difference(self._changed, self._zeroed)

    def _jobs(self) -> Iterator[list[_Window]]:
        windows = self._windows()
        while job := list(islice(windows, _WINDOWS)):
            for source, ranges in self._ranges(job):
                fetch(source, ranges)
            yield job

    def _ranges(self, job: list[_Window]) -> Iterator[tuple[MemorySource, list[tuple[int, int]]]]:
        """Yields each file, and what is looked at of it: offset and length."""
        sizes = [window.pages << PAGE_SHIFT for window in job]
        yield self._old, list(zip([window.old for window in job], sizes, strict=True))
        yield self._new, list(zip([window.new for window in job], sizes, strict=True))

    def _windows(self) -> Iterator[_Window]:
        before, after = self._before, self._after
        counts = np.diff(self._starts, append=len(before))
        for frame, count in zip(self._starts.tolist(), counts.tolist(), strict=True):
            old, new = int(before[frame]), int(after[frame])
            for first, end in _with_data(self._old, old, self._new, new, count):
                for at in range(first, end, _WINDOW):
                    skip = at << PAGE_SHIFT
                    pages = min(_WINDOW, end - at)
                    yield _Window(frame + at, pages, old + skip, new + skip)

    def _compare(self, job: list[_Window]) -> None:
        for frame, pages, old, new in job:
            size = pages << PAGE_SHIFT
            before = np.frombuffer(self._old.view(old, size), np.uint8)
            after = np.frombuffer(self._new.view(new, size), np.uint8)
            if not _memcmp(before.ctypes.data, after.ctypes.data, size):
                continue
            those = slice(frame, frame + pages)
            after = after.reshape(-1, PAGE_SIZE)
            self._changed[those] = (before.reshape(-1, PAGE_SIZE) != after).any(axis=1)
            self._zeroed[those] = self._changed[those] & ~after.any(axis=1)
        for source, ranges in self._ranges(job):
            let_go(source, ranges)


def _with_data(
    old: MemorySource, before: int, new: MemorySource, after: int, pages: int
) -> Iterator[tuple[int, int]]:
    """Yields which of pages that lie in two files are no hole of both: the first, and the end."""
    both = [*pages_with_data(old, FrameRun(0, pages, before))]
    both += pages_with_data(new, FrameRun(0, pages, after))
    end = 0
    for low, high in sorted(both):
        if high > end:
            yield max(low, end), high
            end = high
