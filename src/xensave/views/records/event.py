"""A header or record of a stream in one line."""

from __future__ import annotations

from xensave.container.events import Event


def event_line(event: Event) -> str:
    """Returns the offset, what stands there, and what its fields say.

    >>> from xensave.container import walk
    >>> from xensave.container.streams.libxl import LibxlHeader
    >>> from xensave.source import open_source
    >>> print(event_line(next(walk(open_source(LibxlHeader().to_bytes())))))
    0x000000000000  libxl header: version 2
    """
    about = f"{event.length} bytes" if event.header is None else event.header.about
    return f"{event.offset:#014x}  {event.label}: {about}"
