"""A picture of the catalogue: which release saves which layout of each record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from xensave.catalogue import layouts_of, release, release_names
from xensave.catalogue.owned import OwnedRange
from xensave.views.picture import picture_path, save

# Light to dark, so that a later layout is a darker one; text on the last three is white.
_COLOURS = ("#dbe9f6", "#a9cce3", "#6baed6", "#3f8fc5", "#2166ac", "#08306b")
_DARK = 3
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth and later")
_RESERVED = "#f6e3d6"


class Run(NamedTuple):
    """Neighbouring releases (by index, the last included) that save one layout of a record."""

    first: int
    last: int
    version: int
    size: int
    flexible: bool


class RecordLine(NamedTuple):
    """A record: its number, name and runs."""

    typecode: int
    name: str
    runs: tuple[Run, ...]


def matrix() -> list[RecordLine]:
    """Returns every record by number, and the releases that save each of its layouts.

    >>> line = next(line for line in matrix() if line.name == "RTC")
    >>> [(run.version, run.size) for run in line.runs]
    [(0, 16), (1, 24)]
    """
    names = release_names()
    layouts: dict[tuple[int, str], dict[int, str]] = {}
    for at, name in enumerate(names):
        for binding in release(name).bindings:
            layouts.setdefault((binding.typecode, binding.name), {})[at] = binding.layout
    return [
        RecordLine(code, name, tuple(_runs(name, by)))
        for (code, name), by in sorted(layouts.items())
    ]


def _runs(record: str, by_release: dict[int, str]) -> Iterator[Run]:
    saved = [layout for layout in layouts_of(record) if layout.id in by_release.values()]
    order = {layout.id: at for at, layout in enumerate(saved)}
    # A gap in the releases, or another layout, begins a new run.
    numbered = enumerate(sorted(by_release))
    for _, group in groupby(numbered, key=lambda pair: (pair[1] - pair[0], by_release[pair[1]])):
        releases = [at for _, at in group]
        version = order[by_release[releases[0]]]
        layout = saved[version]
        yield Run(releases[0], releases[-1], version, layout.size, layout.flexible)


def plot(path: str | os.PathLike[str]) -> None:
    """Draws the matrix to an .svg, .png or .pdf file.

    Raises UsageError for another ending, or where matplotlib is not installed; OSError where the
    file cannot be written.
    """
    target = picture_path(path)
    from matplotlib.figure import Figure

    lines, names = matrix(), release_names()
    reserved = release(names[-1]).reservations
    height = len(lines) + len(reserved)
    figure = Figure(figsize=(3.2 + 0.46 * len(names), 1.9 + 0.3 * height), layout="constrained")
    axes = figure.add_subplot()
    for row, line in enumerate(lines):
        for run in line.runs:
            _draw(axes, row, run)
    labels = [f"{line.name}  {line.typecode}" for line in lines]
    for row, owned in enumerate(reserved, len(lines)):
        labels.append(f"kept for {owned.owner}  {owned}")
        since = next(at for at, name in enumerate(names) if _keeps(name, owned))
        _bar(axes, row, (since, len(names) - 1), _RESERVED, hatch="///")
    _finish(axes, names, labels, max(run.version for line in lines for run in line.runs))
    save(figure, target)


def _keeps(name: str, owned: OwnedRange) -> bool:
    return any(reservation[:3] == owned[:3] for reservation in release(name).reservations)


def _draw(axes: Any, row: int, run: Run) -> None:  # noqa: ANN401 - matplotlib has no types here
    _bar(axes, row, (run.first, run.last), _COLOURS[min(run.version, len(_COLOURS) - 1)])
    size = f"{run.size:,}" + ("+" if run.flexible else "")
    axes.text(
        (run.first + run.last) / 2,
        row,
        size,
        ha="center",
        va="center",
        fontsize=8,
        color="white" if run.version >= _DARK else "black",
    )


def _bar(axes: Any, row: int, span: tuple[int, int], colour: str, hatch: str = "") -> None:  # noqa: ANN401
    first, last = span
    axes.broken_barh(
        [(first - 0.47, last - first + 0.94)],
        (row - 0.41, 0.82),
        facecolor=colour,
        edgecolor="#b08968" if hatch else "none",
        linewidth=0.5,
        hatch=hatch,
    )


def _finish(axes: Any, names: list[str], labels: list[str], newest: int) -> None:  # noqa: ANN401
    """Axes, title and legend."""
    from matplotlib.patches import Patch

    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_yticks(range(len(labels)), labels, fontsize=9, fontfamily="monospace")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.8)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("Save records of Xen, by release", loc="left", fontsize=13, pad=10)
    shown = [
        Patch(facecolor=_COLOURS[at], label=f"{_ORDINALS[at]} layout" if at == 0 else _ORDINALS[at])
        for at in range(min(newest, len(_COLOURS) - 1) + 1)
    ]
    shown.append(Patch(facecolor=_RESERVED, edgecolor="#b08968", hatch="///", label="reserved"))
    axes.legend(
        handles=shown,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=len(shown),
        frameon=False,
        fontsize=9,
        title="Colour: the layout a release saves. In a bar: bytes of a record (+: data follows).",
        title_fontsize=9,
    )
