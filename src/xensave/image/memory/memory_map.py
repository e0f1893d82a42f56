"""The map of a saved guest's memory: ranges of frames by what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.image.image import Image
from xensave.image.memory.special_pages import SpecialPages, mmio_hole, special_pages
from xensave.memory.column import Integers
from xensave.memory.index import PageIndex, Pass
from xensave.memory.statistics import Statistics, statistics

RANGES_LIMIT = 1 << 20
"""The most ranges of a map; what lies above is left out of it, and said."""


class MapRange(NamedTuple):
    """Frames that follow one another: `data` tells whether they have contents.

    `types` counts them by page type. `name` says what special pages they are, "" for none.
    """

    pfn: int
    frames: int
    data: bool
    types: dict[str, int]
    name: str = ""


class MemoryMap(NamedTuple):
    """What an image holds of memory; `contents` is None where pages were not looked at.

    `sent` counts page contents in the stream and `frames` those that are different frames;
    `passes` tells the passes of a live migration apart. `differing` are frames whose contents
    after VERIFY are others.
    """

    frames: int
    sent: int
    listed: int
    passes: tuple[Pass, ...]
    types: dict[str, int]
    ranges: tuple[MapRange, ...]
    special: tuple[SpecialPages, ...]
    hole: SpecialPages | None
    differing: tuple[int, ...]
    contents: Statistics | None


def memory_map(image: Image, *, contents: bool = True) -> MemoryMap:
    """Return the map of an image's memory; with `contents` every page is looked at.

    >>> from xensave import open as open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     found = memory_map(image, contents=False)
    >>> found.frames, [(hex(each.pfn), each.name) for each in found.special][:2]
    (4092, [('0xa0', 'VGA hole'), ('0xfc000', 'ACPI tables, firmware')])
    """
    index = image.memory.index
    special = special_pages(image)
    return MemoryMap(
        frames=len(index),
        sent=index.sent,
        listed=index.listed,
        passes=index.passes,
        types=index.type_counts(),
        ranges=tuple(_ranges(index, special)),
        special=special,
        hole=mmio_hole(image),
        differing=tuple(image.memory.differing()),
        contents=statistics(image.memory) if contents else None,
    )


_MOST = int(np.iinfo(np.int64).max)


class FileRun(NamedTuple):
    """Frames that follow one another in memory and in the image, from `offset` on.

    `zero` tells whether they hold only zeros, None where pages were not looked at.
    """

    pfn: int
    frames: int
    offset: int
    zero: bool | None


def file_map(image: Image, contents: Statistics | None) -> Iterator[FileRun]:
    """Yield where in the (decompressed) image each run of frames lies, in ascending order."""
    index = image.memory.index
    if not len(index):
        return
    offsets = index.offsets
    breaks = (np.diff(index.pfns) != 1) | (np.diff(offsets) != PAGE_SIZE)
    if contents is not None:
        breaks |= contents.holds_data[1:] != contents.holds_data[:-1]
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    counts = np.diff(starts, append=len(index))
    for at, count in zip(starts.tolist(), counts.tolist(), strict=True):
        zero = None if contents is None else not contents.holds_data[at]
        yield FileRun(int(index.pfns[at]), count, int(offsets[at]), zero)


def _ranges(index: PageIndex, special: tuple[SpecialPages, ...]) -> Iterator[MapRange]:
    """Yield ranges of frames alike in having contents, cut where special pages begin and end."""
    edges = {each.pfn for each in special} | {each.pfn + each.frames for each in special}
    # A param may name any number; none beyond this is a frame's.
    cuts = np.array(sorted(edge for edge in edges if edge <= _MOST), np.int64)
    filled = _runs(index.pfns, np.ones(len(index), np.int64))
    empty = _runs(index.empty.first, index.empty.frames)
    pieces = [(*piece, True) for run in filled for piece in _cut(run, cuts)]
    pieces += [(*piece, False) for run in empty for piece in _cut(run, cuts)]
    for pfn, frames, data in sorted(pieces)[:RANGES_LIMIT]:
        name = ", ".join(s.name for s in special if s.pfn <= pfn < s.pfn + s.frames)
        yield MapRange(pfn, frames, data, _types(index, pfn, frames, data=data), name)


def _runs(first: Integers, frames: Integers) -> list[tuple[int, int]]:
    """Join neighbours."""
    if not len(first):
        return []
    breaks = np.flatnonzero(first[1:] != first[:-1] + frames[:-1]) + 1
    starts = np.concatenate(([0], breaks))
    sums = np.add.reduceat(frames, starts)
    return list(zip(first[starts].tolist(), sums.tolist(), strict=True))


def _cut(run: tuple[int, int], cuts: Integers) -> Iterator[tuple[int, int]]:
    pfn, frames = run
    inside = cuts[(cuts > pfn) & (cuts < pfn + frames)].tolist()
    for first, end in zip([pfn, *inside], [*inside, pfn + frames], strict=True):
        yield first, end - first


def _types(index: PageIndex, pfn: int, frames: int, *, data: bool) -> dict[str, int]:
    counts: Counter[int] = Counter()
    if data:
        at = index.find(pfn)
        kinds, sizes = np.unique(index.types_at(slice(at, at + frames)), return_counts=True)
        counts.update(dict(zip(kinds.tolist(), sizes.tolist(), strict=True)))
    else:
        first, ends = index.empty.first, index.empty.first + index.empty.frames
        for at in range(
            int(np.searchsorted(ends, pfn, "right")), int(np.searchsorted(first, pfn + frames))
        ):
            low, high = max(pfn, int(first[at])), min(pfn + frames, int(ends[at]))
            counts[int(index.empty.type[at])] += high - low
    return {name: counts[number] for number, name in PAGE_TYPES.items() if counts[number]}
