"""The formats that are read, in the order in which an input's first bytes are asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module

from xensave.container.format import Format
from xensave.errors import UsageError

_HOMES = {
    "xl": ("frames.xl", "XL_FORMAT", True),
    "libxl": ("streams.libxl", "LIBXL_FORMAT", True),
    "libxc": ("streams.libxc", "LIBXC_FORMAT", True),
    "hvm": ("streams.hvm", "HVM_FORMAT", False),
    "libvirt": ("frames.libvirt", "LIBVIRT_FORMAT", True),
    "xenopsd": ("frames.xenopsd", "XENOPSD_FORMAT", True),
    "xend": ("frames.xend", "XEND_FORMAT", False),
    "legacy": ("streams.legacy", "LEGACY_FORMAT", False),
}
"""By name the module of each, what it is called there, and whether it has an `inner`.

The last is told here so that a parser's words need none of them.
"""


@cache
def _named(name: str) -> Format:
    module, attribute, _ = _HOMES[name]
    known: Format = getattr(import_module(f"xensave.container.{module}"), attribute)
    return known


class _Formats:
    """The formats of `_HOMES`, each imported when it is first asked for."""

    def __iter__(self) -> Iterator[Format]:
        return map(_named, _HOMES)


_KNOWN = _Formats()
FORMATS: Iterable[Format] = _KNOWN


def format_named(name: str) -> Format:
    """Returns the format of a name. Raises UsageError for a name that none has.

    >>> format_named("libxc").title
    'a libxc stream'
    """
    if FORMATS is _KNOWN and name in _HOMES:
        return _named(name)
    for each in FORMATS:
        if each.name == name:
            return each
    raise UsageError(f"no format is called {name!r}; there are {', '.join(format_names())}")


def format_names() -> list[str]:
    """Returns the names of the formats.

    >>> format_names()[:2]
    ['xl', 'libxl']
    """
    return list(_HOMES) if FORMATS is _KNOWN else [each.name for each in FORMATS]


def frame_names() -> list[str]:
    """Returns the names of the formats that a stream can be put into.

    >>> frame_names()
    ['xl', 'libxl', 'libxc', 'libvirt', 'xenopsd']
    """
    if FORMATS is _KNOWN:
        return [name for name, (_, _, framing) in _HOMES.items() if framing]
    return [each.name for each in FORMATS if each.inner]
