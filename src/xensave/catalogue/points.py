"""Point releases: which there are of a series, and what a target's name asks for."""

from __future__ import annotations

import re
from functools import cache

from xensave.catalogue.files import read_data
from xensave.catalogue.names import normalise, point_release
from xensave.errors import UsageError

_UNRELEASED = r"(?i)[-~](pre|rc\d*|unstable)\b"


@cache
def points_of(series: str) -> tuple[str, ...]:
    """Returns every point release of a series, oldest first; the series itself where none is told.

    >>> points_of("4.14")
    ('4.14.0', '4.14.1', '4.14.2', '4.14.3', '4.14.4', '4.14.5', '4.14.6')
    >>> points_of("master")
    ('master',)
    """
    return _load().get(series, (series,))


def asked_for(name: str) -> tuple[str, ...]:
    """Returns the point releases that a name stands for: a series for each of its own.

    >>> asked_for("4.21"), asked_for("RELEASE-4.17.3")
    (('4.21.0', '4.21.1', '4.21.2'), ('4.17.3',))

    Raises UsageError for a release that there is not (yet).
    """
    series = normalise(name)
    point = point_release(name)
    there = points_of(series)
    if re.search(_UNRELEASED, name):
        raise UsageError(f"{name!r} is no release; there are {span(there)}")
    if point is None:
        return there
    wanted = ".".join(map(str, point))
    if wanted not in there:
        raise UsageError(f"no release {wanted!r}; there are {span(there)}")
    return (wanted,)


def series_of(name: str) -> str:
    """Returns the series of a release that there is, as `release_names()` spells it.

    >>> series_of("RELEASE-4.17.7")
    '4.17'

    Raises UsageError for a release that there is not, a point release of a known series too.
    """
    asked_for(name)
    return normalise(name)


def span(points: tuple[str, ...]) -> str:
    """Returns consecutive point releases as a range: "4.15.0 - 4.15.2"."""
    return points[0] if len(points) == 1 else f"{points[0]} - {points[-1]}"


@cache
def _load() -> dict[str, tuple[str, ...]]:
    points = read_data("points.json")["points"]
    return {series: tuple(names) for series, names in points.items()}
