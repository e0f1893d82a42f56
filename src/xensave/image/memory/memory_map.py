"""The map of a saved guest's memory: ranges of frames by what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.image.image import Image
from xensave.image.memory.special_pages import SpecialPages, mmio_hole, special_pages
from xensave.memory.column import Column, Integers
from xensave.memory.index import PageIndex, Pass
from xensave.memory.statistics import Statistics, statistics


class MapRange(NamedTuple):
    """Frames that follow one another: `data` tells whether they have contents.

    `types` counts them by page type. `name` says what special pages they are, "" for none.
    """

    pfn: int
    frames: int
    data: bool
    types: dict[str, int]
    name: str = ""


class _Parts(NamedTuple):
    """Frames of one page type that follow one another, in ascending order: first, and end."""

    starts: Integers
    ends: Integers
    types: Integers
    data: npt.NDArray[np.bool_]


class MapRanges(Sequence[MapRange]):
    """Ranges of frames in ascending order, made when they are asked for.

    They are columns of parts, each of one page type: `starts` and `ends` are frames. A range
    begins at each position in `firsts`; `names` are of those ranges that have one.
    """

    def __init__(self, parts: _Parts, firsts: Integers, names: dict[int, str]) -> None:
        self._parts = parts
        self._firsts = np.append(firsts, len(parts.starts))
        self._names = names

    def __len__(self) -> int:
        return len(self._firsts) - 1

    @overload
    def __getitem__(self, at: int) -> MapRange: ...

    @overload
    def __getitem__(self, at: slice) -> list[MapRange]: ...

    def __getitem__(self, at: int | slice) -> MapRange | list[MapRange]:
        if isinstance(at, slice):
            return [self._range(number) for number in range(len(self))[at]]
        return self._range(range(len(self))[at])

    def _range(self, number: int) -> MapRange:
        first, end = self._firsts[number : number + 2].tolist()
        parts = self._parts
        start = int(parts.starts[first])
        frames = int(parts.ends[end - 1]) - start
        if end - first == 1:
            types = {PAGE_TYPES[int(parts.types[first])]: frames}
        else:
            own = slice(first, end)
            counts = np.bincount(parts.types[own], parts.ends[own] - parts.starts[own], 16)
            types = {name: int(counts[n]) for n, name in PAGE_TYPES.items() if counts[n]}
        name = self._names.get(number, "")
        return MapRange(start, frames, bool(parts.data[first]), types, name)


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
    ranges: MapRanges
    special: tuple[SpecialPages, ...]
    hole: SpecialPages | None
    differing: tuple[int, ...]
    contents: Statistics | None


def memory_map(image: Image, *, contents: bool = True) -> MemoryMap:
    """Returns the map of an image's memory; with `contents` every page is looked at.

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
        ranges=_ranges(index, special),
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
    """Yields where in the (decompressed) image each run of frames lies, in ascending order."""
    at = 0
    for run in image.memory.file_runs():
        data = None if contents is None else contents.holds_data[at : at + run.frames]
        breaks = [] if data is None else (np.flatnonzero(data[1:] != data[:-1]) + 1).tolist()
        for low, high in pairwise([0, *breaks, run.frames]):
            zero = None if data is None else not data[low]
            yield FileRun(run.pfn + low, high - low, run.offset + low * PAGE_SIZE, zero)
        at += run.frames


def _ranges(index: PageIndex, special: tuple[SpecialPages, ...]) -> MapRanges:
    """Returns ranges of frames alike in having contents, cut where special pages begin and end."""
    edges = {each.pfn for each in special} | {each.pfn + each.frames for each in special}
    # A param may name any number; none beyond this is a frame's.
    cuts = np.array(sorted(edge for edge in edges if edge <= _MOST), np.int64)
    parts = _cut(_parts(index), cuts)
    begins = np.ones(len(parts.starts), np.bool_)
    begins[1:] = parts.starts[1:] != parts.ends[:-1]
    begins[1:] |= parts.data[1:] != parts.data[:-1]
    begins |= np.isin(parts.starts, cuts)
    firsts = np.flatnonzero(begins)
    names: dict[int, str] = {}
    for each in special:
        own = min(each.pfn, _MOST), min(each.pfn + each.frames, _MOST)
        first, end = np.searchsorted(parts.starts[firsts], own)
        for number in range(int(first), int(end)):
            names[number] = f"{names[number]}, {each.name}" if number in names else each.name
    return MapRanges(parts, firsts, names)


def _parts(index: PageIndex) -> _Parts:
    """Returns the runs of frames of one type, those with contents and those without."""
    starts, stops, types = Column(), Column(), Column()
    end = kind = -1
    for runs in index.windows():
        before = np.append(end, runs.ends)
        kinds = np.append(kind, runs.type)
        at = np.flatnonzero((runs.first != before[:-1]) | (kinds[1:] != kinds[:-1]))
        starts.extend(runs.first[at])
        stops.extend(before[at])
        types.extend(kinds[at + 1])
        end, kind = int(before[-1]), int(kinds[-1])
    # Each part ends where the one behind it begins; the first of these is before all.
    stops.extend(np.array([end]))
    count, empty = len(starts), index.empty
    data = starts.release(), stops.release()[1 : count + 1], types.release()
    if not len(empty.first):
        return _Parts(*data, np.ones(count, np.bool_))
    rest = empty.first, empty.first + empty.frames, empty.type
    first, ends, kinds = map(np.concatenate, zip(data, rest, strict=True))
    order = np.argsort(first, kind="stable")
    return _Parts(first[order], ends[order], kinds[order], order < count)


def _cut(parts: _Parts, cuts: Integers) -> _Parts:
    """Returns parts of which none crosses one of these frames."""
    of = np.searchsorted(parts.starts, cuts, "right") - 1
    cuts, of = cuts[of >= 0], of[of >= 0]
    inside = (cuts > parts.starts[of]) & (cuts < parts.ends[of])
    if not inside.any():
        return parts
    of = np.concatenate((np.arange(len(parts.starts)), of[inside]))
    starts = np.concatenate((parts.starts, cuts[inside]))
    order = np.argsort(starts, kind="stable")
    starts, of = starts[order], of[order]
    ends = parts.ends[of]
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    return _Parts(starts, ends, parts.types[of], parts.data[of])
