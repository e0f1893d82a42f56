"""What the pages of a guest hold: zeros, contents seen before, and what compression would save."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.column import Column, Integers
from xensave.memory.contents import contents
from xensave.memory.physical import Memory
from xensave.source.compression.codecs import zstd_library

SAMPLE_SHARE = 100
"""One of so many pages is compressed for the estimate ..."""

SAMPLE_LEAST = 256
"""... but at least so many of a small guest."""

_SAMPLE_BATCH = 256
_ZSTD_LEVEL = 1


class Statistics(NamedTuple):
    """Frames with contents by what they hold.

    `zero` frames hold only zeros; `duplicate` others hold what a frame before them holds (told by
    XXH3, 64 bits). `compressed` estimates the bytes that zstd at its fastest level would make of
    all pages. `holds_data` tells for each frame of the index whether it holds more than zeros.
    """

    frames: int
    zero: int
    duplicate: int
    compressed: int
    holds_data: npt.NDArray[np.bool_]


def statistics(memory: Memory) -> Statistics:
    """Looks at every page once.

    >>> from xensave import open as open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     statistics(image.memory)[:3]
    (4092, 3932, 16)
    """
    index = memory.index
    total = len(index)
    every = max(1, min(SAMPLE_SHARE, total // SAMPLE_LEAST))
    holds_data = np.zeros(total, np.bool_)
    hashes = Column()
    sample = _Sample(every)
    for pfn, data in contents(memory):
        pages = np.frombuffer(data, np.int64).reshape(-1, PAGE_SIZE // 8)
        used = np.flatnonzero(pages.any(axis=1))
        at = index.find(pfn)
        holds_data[at + used] = True
        digests = [xxhash.xxh3_64_intdigest(pages[number]) for number in used.tolist()]
        hashes.extend(np.array(digests, np.uint64).view(np.int64))
        sample.add(pages if len(used) == len(pages) else pages[used])
    filled = len(hashes)
    distinct = _distinct(hashes.release())
    return Statistics(total, total - filled, filled - distinct, sample.estimate(filled), holds_data)


def _distinct(values: Integers) -> int:
    """Returns how many values there are, those alike as one; they are sorted where they lie.

    >>> _distinct(np.array([7, 4, 7]))
    2
    """
    # unique() takes several times as long: it makes a table of what it has seen.
    values.sort()
    return int(np.count_nonzero(values[1:] != values[:-1])) + bool(len(values))


class _Sample:
    """Every so many pages, compressed in batches."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._passed = 0
        self._pages: list[bytes] = []
        self._before = 0
        self._after = 0

    def add(self, pages: npt.NDArray[np.int64]) -> None:
        chosen = pages[-self._passed % self._every :: self._every]
        self._passed += len(pages)
        # As bytes: a view of one page would keep the whole window.
        self._pages += [page.tobytes() for page in chosen]
        if len(self._pages) >= _SAMPLE_BATCH:
            self._compress()

    def estimate(self, pages: int) -> int:
        """Returns the bytes that so many pages would take."""
        self._compress()
        return round(pages * PAGE_SIZE * self._after / self._before) if self._before else 0

    def _compress(self) -> None:
        data = b"".join(self._pages)
        if data:
            self._before += len(data)
            self._after += len(zstd_library().compress(data, _ZSTD_LEVEL))
        self._pages = []
