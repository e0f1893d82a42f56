"""A header or record of a stream in one line."""

from __future__ import annotations

from xensave.container.events import CONTEXT, RECORD, TRAILER, Event
from xensave.container.libxc import DomainHeader, ImageHeader
from xensave.container.libxl import OPTION_LEGACY, LibxlHeader
from xensave.container.xl import XlHeader


def event_line(event: Event) -> str:
    """Return the offset, what stands there, and what its fields say.

    >>> from xensave.container import walk
    >>> from xensave.container.libxl import LibxlHeader
    >>> from xensave.source import open_source
    >>> print(event_line(next(walk(open_source(LibxlHeader().to_bytes())))))
    0x000000000000  libxl header: version 2
    """
    return f"{event.offset:#014x}  {event.label}: {_about(event)}"


def _about(event: Event) -> str:
    if event.kind in (RECORD, CONTEXT, TRAILER):
        return f"{event.length} bytes"
    head = event.header
    if isinstance(head, XlHeader):
        return f"flags {head.mandatory_flags:#x}, {head.optional_length} bytes of optional data"
    if isinstance(head, DomainHeader):
        if not head.xen_major:
            return f"{head.type_name}, converted from a legacy stream"
        return f"{head.type_name} from Xen {head.xen_major}.{head.xen_minor}"
    if isinstance(head, LibxlHeader):
        legacy = ", converted from a legacy stream" if head.options & OPTION_LEGACY else ""
        return f"version {head.version}{legacy}"
    assert isinstance(head, ImageHeader)
    return f"version {head.version}"
