"""Rules on what the Xen that wrote a stream reads itself: a restore there stumbles over the rest.

The specifications say nothing of it, and the domain header names the release.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from xensave import catalogue
from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc, libxl
from xensave.findings import NOTE
from xensave.rules.stream.libxc.static_data import OF_VERSION_3
from xensave.rules.stream.model import Fault, StreamRule
from xensave.rules.stream.state import StreamState

VERSION = StreamRule(
    "LIBXC_VERSION_FITS_RELEASE", NOTE, "The stream's version is one of its release."
)
LIBXC_RECORD = StreamRule(
    "LIBXC_RECORD_FITS_RELEASE", NOTE, "The release that wrote a libxc record knows its type."
)
LIBXL_RECORD = StreamRule(
    "LIBXL_RECORD_FITS_RELEASE", NOTE, "The release that wrote a libxl record knows its type."
)
CONFIGURED = StreamRule(
    "LIBXC_DOMAIN_TYPE_CONFIGURED", NOTE, "The stream is of the type that the configuration says."
)

LIBXC_TYPES = tuple(type_ for type_ in libxc.RECORDS if type_ != libxc.PAGE_DATA)
LIBXL_TYPES = tuple(libxl.RECORDS)
_TYPES = {"pv": libxc.PV, "hvm": libxc.HVM, "pvh": libxc.HVM}


@cache
def known_records(space: str, release: str) -> frozenset[int]:
    """Returns the numbers that a release knows of "libxl-record" or "libxc-record".

    >>> sorted(known_records("libxl-record", "4.17"))
    [0, 1, 2, 3, 4, 5]
    """
    return frozenset(number.number for number in catalogue.numbers_of(space, release))


@cache
def streamed() -> tuple[str, ...]:
    """Returns the releases whose toolstack reads streams of records; older ones read legacy ones.

    >>> streamed()[0], streamed()[-1]
    ('4.6', 'master')
    """
    return tuple(filter(_reads, catalogue.release_names()))


def _reads(release: str) -> tuple[int, ...]:
    return catalogue.release(release).stream_read


def domain_header(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks the stream's version and type, once its release is known."""
    head = event.header
    assert isinstance(head, libxc.DomainHeader)
    configured = _TYPES.get(state.configured)
    if configured is not None and configured != head.type:
        text = f"of an {head.type_name} guest, the configuration's type is {state.configured}"
        yield Fault(CONFIGURED, text)
    if head.xen not in catalogue.release_names():
        return
    reads = _reads(head.xen)
    if state.version not in reads:
        wanted = " and ".join(map(str, reads)) or "legacy streams only"
        yield Fault(VERSION, f"version {state.version}, Xen {head.xen} reads {wanted}")


def record(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the release which wrote it knows the record."""
    release = state.domain.xen if state.domain is not None else None
    if release is None or release not in catalogue.release_names():
        return
    rule = LIBXC_RECORD if event.layer == LIBXC else LIBXL_RECORD
    if event.type in OF_VERSION_3 and state.version > max(_reads(release), default=0):
        # The stream's version says it already.
        return
    if event.type not in known_records(f"{event.layer}-record", release):
        yield Fault(rule, f"Xen {release} does not know it, and wrote the stream")
