"""All of a guest's contents in order, and what a pattern finds in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from xensave.memory.physical import FrameRun, Memory
from xensave.source.limits import SKIP_CHUNK
from xensave.source.memory import MemorySource

_MARGIN = 1 << 12

OVERLAP = 1 << 12
"""Bytes that are looked at again with what follows: a longer match may be missed or cut."""


class Hit(NamedTuple):
    """Where a pattern was found, and what matched."""

    physical: int
    data: bytes


def contents(memory: Memory) -> Iterator[tuple[int, bytes | memoryview]]:
    """Yield physical addresses and the bytes there, in ascending order, a MiB at most each.

    Holes of the image's file are left out, but for a page of zeros on either side of data.
    """
    source = memory.source
    assert isinstance(source, MemorySource), "seekable sources are of this class"
    for run in memory.file_runs():
        for start, end in _data(source, run):
            for at in range(start, end, SKIP_CHUNK):
                size = min(SKIP_CHUNK, end - at)
                yield run.physical + at - run.offset, source.read_range(at, size)


def search(memory: Memory, pattern: re.Pattern[bytes]) -> Iterator[Hit]:
    """Yield what a pattern matches, in ascending order; a match may cross page boundaries.

    Frames that follow one another in memory are looked at as one run of bytes.
    """
    buffer = b""
    base = 0
    for physical, data in contents(memory):
        if physical != base + len(buffer):
            yield from _hits(pattern, buffer, base, len(buffer))
            buffer, base = b"", physical
        buffer += data
        settled = max(0, len(buffer) - OVERLAP)
        for hit in _hits(pattern, buffer, base, settled):
            yield hit
            settled = max(settled, hit.physical - base + max(1, len(hit.data)))
        buffer, base = buffer[settled:], base + settled
    yield from _hits(pattern, buffer, base, len(buffer))


def _hits(pattern: re.Pattern[bytes], buffer: bytes, base: int, end: int) -> Iterator[Hit]:
    """Yield the matches that begin before `end`."""
    for match in pattern.finditer(buffer):
        if match.start() >= end:
            return
        yield Hit(base + match.start(), match[0])


def _data(source: MemorySource, run: FrameRun) -> Iterator[tuple[int, int]]:
    """Yield start and end of what is no hole in a run, widened by a margin, joined where near."""
    first, last = run.offset, run.offset + run.size
    start = end = -1
    for offset, length in source.data_runs(first, run.size):
        low, high = max(first, offset - _MARGIN), min(last, offset + length + _MARGIN)
        if low <= end:
            end = high
            continue
        if end > start:
            yield start, end
        start, end = low, high
    if end > start:
        yield start, end
