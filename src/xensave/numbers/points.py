"""A record in the point releases of a series: its bindings, where they differ."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from xensave.catalogue import layout, point_release, release
from xensave.catalogue.model import Binding
from xensave.catalogue.points import asked_for, span


class Bound(NamedTuple):
    """What consecutive point releases bind a record by; None where they have it not."""

    points: tuple[str, ...]
    binding: Binding | None

    @property
    def span(self) -> str:
        """The point releases as a range: "4.20.1 - 4.20.4"."""
        return span(self.points)

    @property
    def size(self) -> int:
        """The bytes of the layout, 0 without one."""
        return layout(self.binding.layout).size if self.binding else 0


def bound_in(record: str, release_name: str) -> tuple[Bound, ...]:
    """Returns what binds a record in each point release that a name stands for, oldest first.

    >>> [(bound.span, bound.size) for bound in bound_in("LAPIC", "4.20")]
    [('4.20.0', 24), ('4.20.1 - 4.20.4', 32)]
    """
    bounds: list[Bound] = []
    for point in asked_for(release_name):
        binding = release(point).binding(record)
        if bounds and bounds[-1].binding == binding:
            bounds[-1] = bounds[-1]._replace(points=(*bounds[-1].points, point))
        else:
            bounds.append(Bound((point,), binding))
    return tuple(bounds)


def ranges(points: tuple[str, ...]) -> str:
    """Returns point releases as ranges: those of one series without a gap are one.

    >>> ranges(("4.18.5", "4.18.6", "4.19.2", "4.20.1"))
    '4.18.5 - 4.18.6, 4.19.2, 4.20.1'
    """
    runs: list[list[str]] = []
    for before, point in pairwise(("", *points)):
        if _follows(before, point):
            runs[-1].append(point)
        else:
            runs.append([point])
    return ", ".join(span(tuple(run)) for run in runs)


def _follows(before: str, point: str) -> bool:
    numbers = point_release(before)
    return numbers is not None and point_release(point) == (*numbers[:-1], numbers[-1] + 1)
