"""An image as JSON: written event by event, however long the image is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from xensave.container.events import TRAILER
from xensave.container.streams.libxc import DomainHeader
from xensave.container.walk import format_of, walk
from xensave.edit.document.events import event_json, refuse_made
from xensave.edit.document.members import Json
from xensave.image.facts.stream import release_named
from xensave.records.json_text import json_pieces
from xensave.records.twins import wide_integers
from xensave.source import Source
from xensave.source.limits import SKIP_CHUNK

SCHEMA = 1


def decode_pieces(
    source: Source, path: str | None, release: str | None = None
) -> Iterator[Iterable[str]]:
    """Yields the lines of a JSON document, each in pieces: an object with an event a line.

    `path` is where page contents are to be had when it is encoded again. Raises what a walk
    raises for a damaged image; what stands before the damage was yielded then. Unsupported is a
    legacy stream, which has no records of its own.
    """
    yield (json.dumps({"xensave": SCHEMA, "image": path})[:-1] + ', "events": [',)
    front = "  "
    for item in decode_events(source, release):
        wide = wide_integers(item)
        yield chain((front,), json_pieces({**item, "hex": wide} if wide else item))
        front = ", "
    yield ("]}",)


def decode_events(source: Source, release: str | None = None) -> Iterator[dict[str, Json]]:
    """Yields an image's headers and records as objects; the image is walked once.

    The HVM context is read by the layouts of `release`, or of the one that the image names. What
    lies behind the last record, such as old bytes of a disk, is the last object.
    """
    layer = format_of(source).name
    for event in walk(source):
        refuse_made(event)
        if release is None and isinstance(event.header, DomainHeader):
            release = release_named(event.header)
        yield event_json(event, release)
    rest = _rest(source)
    if rest is not None:
        yield {"layer": layer, "kind": TRAILER, "name": "trailer", "image": rest}


def _rest(source: Source) -> dict[str, Json] | None:
    start = source.offset
    while not source.at_end():
        source.skip(min(SKIP_CHUNK, len(source.peek(SKIP_CHUNK))))
    return {"offset": start, "length": source.offset - start} if source.offset > start else None
