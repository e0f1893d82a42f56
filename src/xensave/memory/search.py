"""What a pattern finds in a guest's physical memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.memory.contents import contents
from xensave.memory.physical import Memory

_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)

OVERLAP = 1 << 12
"""Bytes that are looked at again with what follows: a longer match may be missed or cut."""


class Match(NamedTuple):
    """Where a pattern was found, and what matched."""

    physical: int
    data: bytes


def search(memory: Memory, pattern: re.Pattern[bytes]) -> Iterator[Match]:
    """Yields what a pattern matches, in ascending order; a match may cross page boundaries.

    A pattern without special characters is found several times as fast.

    Frames that follow one another in memory are looked at as one run of bytes. Zeros in a hole of
    the image's file are not searched.
    """
    buffer = b""
    base = 0
    for pfn, data in contents(memory):
        if pfn << PAGE_SHIFT != base + len(buffer):
            yield from _hits(pattern, buffer, base, len(buffer))
            buffer, base = b"", pfn << PAGE_SHIFT
        buffer += data
        settled = max(0, len(buffer) - OVERLAP)
        for hit in _hits(pattern, buffer, base, settled):
            yield hit
            settled = max(settled, hit.physical - base + max(1, len(hit.data)))
        buffer, base = buffer[settled:], base + settled
    yield from _hits(pattern, buffer, base, len(buffer))


def _hits(pattern: re.Pattern[bytes], buffer: bytes, base: int, end: int) -> Iterator[Match]:
    """Yields the matches that begin before `end`."""
    literal = _literal(pattern)
    if literal is not None:
        at = buffer.find(literal, 0, end + len(literal) - 1)
        while at >= 0:
            yield Match(base + at, literal)
            at = buffer.find(literal, at + len(literal), end + len(literal) - 1)
        return
    for match in pattern.finditer(buffer):
        if match.start() >= end:
            return
        yield Match(base + match.start(), match[0])


@lru_cache(16)
def _literal(pattern: re.Pattern[bytes]) -> bytes | None:
    """Returns the bytes that alone a pattern matches, None for one that matches others too."""
    if pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return None
    plain = _ESCAPE.sub(rb"\1", pattern.pattern)
    return plain if plain and re.escape(plain) == pattern.pattern else None
