"""When a rule is in force: releases and point releases that start and end it.

A change lands in a release and is often carried back to the point releases of older series, so a
date is a set: "4.16" begins a rule for 4.16.0 and all that follow, "4.15.1" for 4.15.1 and the
later ones of 4.15 only when a release of a later series is in the set too.
"""

from functools import cache
from typing import NamedTuple

from xensave.catalogue import MASTER, normalise, point_release, release
from xensave.catalogue.model import Cite, Release

Version = tuple[int, ...]

_MASTER: Version = (1 << 16,)
_NEWEST = 1 << 16


def version(name: str) -> Version:
    """Returns a release as numbers to compare; a series stands for its newest point release.

    >>> version("RELEASE-4.17.7"), version("4.17") > version("4.17.7"), version("4.17") < (4, 18)
    ((4, 17, 7), True, True)
    """
    series = normalise(name)
    if series == MASTER:
        return _MASTER
    point = point_release(name)
    return point if point is not None else (*series_numbers(series), _NEWEST)


def newest(name: str) -> Release:
    """Returns a release's numbers; a series stands for its newest point release.

    >>> newest("4.0").binding("CPU").compat, newest("4.0.0").binding("CPU").compat
    ('CPU.3', None)
    """
    series = release(name)
    if point_release(name) is None and series.variants:
        return release(series.variants[-1].refs[-1])
    return series


@cache
def series_numbers(series: str) -> Version:
    """Returns "4.17" as (4, 17)."""
    return tuple(map(int, series.split(".")))


def begun(dates: tuple[str, ...], at: Version) -> bool:
    """Tells whether one of these dates has come in the release `at`.

    >>> dates = ("4.13.4", "4.14.3", "4.15.1", "4.16.0")
    >>> [begun(dates, version(name)) for name in ("4.13.3", "4.13.4", "4.14.0", "4.15.1", "4.22")]
    [False, True, False, True, True]
    """
    if not dates:
        return False
    numbers, last = _numbers(dates)
    if at >= last:
        return True
    return any(date[:2] == at[:2] and at >= date for date in numbers)


@cache
def _numbers(dates: tuple[str, ...]) -> tuple[list[Version], Version]:
    """Returns dates as numbers, and the last of them."""
    numbers = [series_numbers(date) for date in dates]
    return numbers, max(numbers)


@cache
def in_force(since: tuple[str, ...], until: tuple[str, ...], at: Version) -> bool:
    """Tells whether a rule holds in the release `at`: begun (or never begun late) and not ended."""
    return (not since or begun(since, at)) and not begun(until, at)


class Dated(NamedTuple):
    """A difference between releases that no single rule is: in force from `since` to `until`."""

    id: str
    record: str
    sentence: str
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def holds(self, version: Version) -> bool:
        """Tells whether it is in force in a release."""
        return in_force(self.since, self.until, version)
