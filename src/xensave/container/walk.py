"""A walk over an image: every header and record of every layer, in order, forward only."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import TRAILER, Event, LayerName, bounded
from xensave.container.format import Format
from xensave.container.formats import format_named
from xensave.container.probe import HEAD_SIZE, probe
from xensave.source import Source
from xensave.source.limits import CHUNK


def walk(source: Source, format: str | None = None, *, stored: bool = False) -> Iterator[Event]:
    """Yields the events of an image; `format` is a name, by default what `format_of` returns.

    Of a legacy stream the events are those of the version 3 stream that it stands for; with
    `stored` they are its chunks as they lie.

    Raises Truncated where input ends before the outermost END, Malformed or Unsupported where it
    cannot be followed, LimitExceeded where there are more records than a stream of its length has,
    and UsageError for a format that there is not. A record of unknown type is followed by its
    length.

    >>> from xensave.container.streams import libxc
    >>> from xensave.container.framing import pack_record
    >>> from xensave.source import open_source
    >>> data = b"".join((libxc.ImageHeader().to_bytes(),
    ...                  libxc.DomainHeader(libxc.HVM).to_bytes(), pack_record(libxc.END)))
    >>> [event.label for event in walk(open_source(data))]
    ['libxc image header', 'libxc domain header', 'libxc END']
    """
    outer = format_named(format) if format is not None else format_of(source)
    yield from bounded(outer.walk(source, stored=stored))
    if outer.trailer:
        yield from _trailer(source, outer.name)


def format_of(source: Source) -> Format:
    """Returns the format that the source was opened as, or that its next bytes announce.

    Raises what `probe` raises, and UsageError for a name that no format has.
    """
    return format_named(source.format or probe(bytes(source.peek(HEAD_SIZE))))


def _trailer(source: Source, layer: LayerName) -> Iterator[Event]:
    while not source.at_end():
        size = source.size - source.offset if source.size is not None else None
        length = len(source.peek(CHUNK)) if size is None else size
        event = Event(source, layer, TRAILER, "trailer", memoryview(b""), length=length)
        yield event
        event.finish()
