"""Which functions of a binary refer to an address: found in the raw code, without decoding it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xensave.binaries.elf import Binary, BinarySection

_WORD = 4
_CHUNK = 1 << 20
# A rip-relative operand counts from the instruction's end, past an immediate of so many bytes.
_TRAILING = (0, 1, 2, 4)


def referring(binary: Binary, ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Returns the starts of the functions whose code may name an address in one of [first, end).

    Every four bytes of code are taken as a relative and as an absolute address, so a function can
    be here by chance, but none that refers directly is missing.
    """
    referrers = set()
    wanted = list(ranges)
    for section in binary.sections:
        if not section.code:
            continue
        for place in _hits(section, wanted):
            function = binary.function_at(place)
            if function is not None:
                referrers.add(function.address)
    return sorted(referrers)


def _hits(section: BinarySection, ranges: list[tuple[int, int]]) -> Iterator[int]:
    import numpy as np

    for start, phase in product(range(0, len(section.data), _CHUNK), range(_WORD)):
        # A chunk and one word more, so that nothing is missed between two.
        count = min(_CHUNK // _WORD + 1, (len(section.data) - start - phase) // _WORD)
        if count <= 0:
            continue
        words = np.frombuffer(section.data, "<i4", count, start + phase)
        # Modulo 2^64, as addresses of Xen's upper half are negative numbers to the CPU.
        places = np.arange(count, dtype=np.uint64) * np.uint64(_WORD)
        places += np.uint64(section.address + start + phase)
        signed = words.astype(np.int64).astype(np.uint64)
        relative = signed + places + np.uint64(_WORD)
        for first, end in ranges:
            span = np.uint64(end - first)
            hit = signed - np.uint64(first) < span
            for more in _TRAILING:
                hit |= relative + np.uint64(more) - np.uint64(first) < span
            yield from (int(place) for place in places[hit])
