"""A picture of the map: one row for each stretch of memory, a colour for what lies there."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.image.memory.memory_map import MemoryMap
from xensave.memory.index import PageIndex
from xensave.views.picture import picture_path, save

FORMATS = (".svg", ".png")
_COLUMNS = 256
_ROWS = 128
_GAP_LEAST = 4096
"""Frames without contents, from so many on, are no row of the picture."""

_KINDS = (
    ("nothing", "#ffffff"),
    ("zeros", "#dbe9f6"),
    ("data", "#3f8fc5"),
    ("page tables", "#08306b"),
    ("special pages", "#d95f02"),
)
_NOTHING, _ZEROS, _DATA, _TABLES, _SPECIAL = range(len(_KINDS))
_TABLE_TYPES = (1, 4), (9, 12)


def plot(path: str | os.PathLike[str], memory_map: MemoryMap, index: PageIndex) -> None:
    """Draws the map to an .svg or .png file.

    Raises UsageError for another ending, or where matplotlib is not installed; OSError where the
    file cannot be written.
    """
    target = picture_path(path, FORMATS)
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    stretches = _stretches(index)
    grids = _grids(memory_map, index, stretches)
    heights = [len(grid) for grid in grids]
    figure = Figure(figsize=(9, 1.6 + 0.06 * sum(heights) + 0.5 * len(grids)))
    axes = figure.subplots(len(grids), 1, squeeze=False, height_ratios=heights)[:, 0]
    colours = ListedColormap([colour for _, colour in _KINDS])
    for each, grid, (first, end) in zip(axes, grids, stretches, strict=True):
        each.imshow(grid, cmap=colours, vmin=0, vmax=len(_KINDS) - 1, aspect="auto",
                    interpolation="nearest")  # fmt: skip
        each.set_xticks([])
        each.set_yticks([])
        place = f"{first << PAGE_SHIFT:#x} - {(end << PAGE_SHIFT) - 1:#x}"
        each.set_title(place, loc="left", fontsize=8, fontfamily="monospace")
    patches = [Patch(facecolor=colour, edgecolor="#999999", label=name) for name, colour in _KINDS]
    figure.legend(handles=patches, loc="lower center", ncols=len(_KINDS), frameon=False, fontsize=8)
    save(figure, target)


def _stretches(index: PageIndex) -> list[tuple[int, int]]:
    """Returns first and end of the stretches of frames, without the wide gaps between them."""
    if not len(index):
        return [(0, 1)]
    stretches: list[tuple[int, int]] = []
    for runs in index.windows():
        ends = runs.ends
        wide = runs.first[1:] - ends[:-1] >= _GAP_LEAST
        firsts = runs.first[np.append(True, wide)].tolist()
        lasts = ends[np.append(wide, True)].tolist()
        if stretches and firsts[0] - stretches[-1][1] < _GAP_LEAST:
            firsts[0] = stretches.pop()[0]
        stretches += zip(firsts, lasts, strict=True)
        if len(stretches) > _ROWS:
            break
    return stretches[:_ROWS]


def _grids(
    memory_map: MemoryMap, index: PageIndex, stretches: list[tuple[int, int]]
) -> list[npt.NDArray[np.int8]]:
    """Returns rows of cells for each stretch; a cell shows the most telling of its frames."""
    total = sum(end - first for first, end in stretches)
    frames_a_cell = max(1, -(-total // (_COLUMNS * _ROWS)))
    pfns, types = index.pfns, index.types
    kinds = np.full(len(index), _DATA, np.int8)
    if memory_map.contents is not None:
        kinds[~memory_map.contents.holds_data] = _ZEROS
    for low, high in _TABLE_TYPES:
        kinds[(types >= low) & (types <= high)] = _TABLES
    for each in memory_map.special:
        kinds[index.find(each.pfn) : index.find(each.pfn + each.frames)] = _SPECIAL
    grids = []
    for first, end in stretches:
        part = slice(index.find(first), index.find(end))
        cells = -(-(end - first) // frames_a_cell)
        rows = -(-cells // _COLUMNS)
        grid = np.full(rows * _COLUMNS, _NOTHING, np.int8)
        np.maximum.at(grid, (pfns[part] - first) // frames_a_cell, kinds[part])
        grids.append(grid.reshape(rows, _COLUMNS))
    return grids
