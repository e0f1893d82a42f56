"""From `domain:NAME` or `domain:ID` to a source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from xensave.errors import SourceError, UsageError, XensaveError
from xensave.live import PREFIX
from xensave.live.domain import RunningDomain
from xensave.live.libraries import AbsentLibrary, XenCall, domain_of_name
from xensave.live.snapshot import stream_of
from xensave.live.xenctrl import XenCtrlDomain, xenctrl_path
from xensave.source import MemorySource

_LAST = 0x7FEF
"""DOMID_FIRST_RESERVED is 0x7ff0."""


def open_domain(what: str) -> MemorySource:
    """Asks Xen of a running guest, and returns it as a source that can be read at any place.

    Raises SourceError where there is no such guest, no library, no dom0 or no right.
    """
    with named(what):
        return MemorySource(_asked(_name(what)), what)


@contextmanager
def named(what: str) -> Iterator[None]:
    """Lets errors of asking for a guest say which input it was; of the system's: SourceError."""
    try:
        yield
    except XensaveError as error:
        error.source = what
        raise
    except OSError as error:
        raise SourceError(str(error.strerror)).about(what) from error


def domain_number(what: str) -> int:
    """Returns the number of the domain that an input names."""
    return _number(_name(what))


def _name(what: str) -> str:
    name = what.removeprefix(PREFIX)
    if not name:
        raise UsageError("which domain? write domain:NAME or domain:ID")
    return name


def _asked(name: str) -> bytes:
    try:
        with closing(XenCall()) as library:
            return stream_of(RunningDomain(library, _number(name)))
    except AbsentLibrary:
        path = xenctrl_path()
        if path is None:
            raise
        return stream_of(XenCtrlDomain(path, _number(name)))


def _number(name: str) -> int:
    if name.isdigit() and int(name) > _LAST:
        raise SourceError(f"there is no domain {name}")
    return int(name) if name.isdigit() else domain_of_name(name)
