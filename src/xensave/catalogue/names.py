"""The names of releases: as users, tags, branches and version strings spell them."""

from __future__ import annotations

import re
from functools import lru_cache

from xensave.catalogue.files import index
from xensave.errors import UsageError

MASTER = "master"
_NAME = (
    r"(?i:(?:xen[-_ ]?)?(?:release[-_]|stable-|staging-|v)?(\d+)\.(\d+)((?:\.\d+)*)(?:[-+~].*)?)"
)
_MASTER = ("master", "staging", "unstable", "xen-unstable")
_NAMES = 256
"""How many names are remembered: there are fewer tags of Xen."""


def release_names() -> list[str]:
    """Returns every release series of the catalogue, oldest first, then "master"."""
    return list(index()["releases"])


@lru_cache(maxsize=_NAMES)
def normalise(name: str) -> str:
    """Returns the series of a release as `release_names()` spells it.

    >>> [normalise(name) for name in ("RELEASE-4.17.7", "xen-4.17", "v4.17", "stable-4.17")]
    ['4.17', '4.17', '4.17', '4.17']
    >>> normalise("unstable")
    'master'

    Raises UsageError for a release that the catalogue does not have.
    """
    if name.lower() in _MASTER:
        return MASTER
    match = re.fullmatch(_NAME, name.strip())
    series = f"{int(match[1])}.{int(match[2])}" if match else name
    series = index()["aliases"].get(series, series)
    if series not in index()["releases"]:
        names = release_names()
        raise UsageError(f"no release {name!r}; there are {', '.join(names)}")
    return series


def is_spelled_as_release(name: str) -> bool:
    """Tells whether a name is spelled as that of a release, whether there is one or not.

    >>> is_spelled_as_release("RELEASE-9.9.1"), is_spelled_as_release("citrix")
    (True, False)
    """
    return name.lower() in _MASTER or re.fullmatch(_NAME, name.strip()) is not None


@lru_cache(maxsize=_NAMES)
def point_release(name: str) -> tuple[int, ...] | None:
    """Returns the numbers of a point release, for rules with a date; None where the name has none.

    >>> point_release("RELEASE-4.17.7"), point_release("4.17"), point_release("master")
    ((4, 17, 7), None, None)
    """
    match = re.fullmatch(_NAME, name.strip())
    if match is None or not match[3]:
        return None
    points = [int(number) for number in match[3].split(".")[1:]]
    return (int(match[1]), int(match[2]), *points)
