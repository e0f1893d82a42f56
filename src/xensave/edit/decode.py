"""An image as JSON: written event by event, however long the image is."""

from __future__ import annotations

import json
from collections.abc import Iterator

from xensave.container.libxc import DomainHeader
from xensave.edit.document import event_json
from xensave.edit.members import Json
from xensave.image import Image
from xensave.image.guest import release_named

SCHEMA = 1


def decode_lines(image: Image, path: str | None, release: str | None = None) -> Iterator[str]:
    """Yield the lines of a JSON document: an object whose `events` are one a line.

    `path` is where page contents are to be had when it is encoded again. Raises what a walk
    raises for a damaged image; what stands before the damage was yielded then.
    """
    yield json.dumps({"xensave": SCHEMA, "image": path})[:-1] + ', "events": ['
    front = "  "
    for item in decode_events(image, release):
        yield front + json.dumps(item)
        front = ", "
    yield "]}"


def decode_events(image: Image, release: str | None = None) -> Iterator[dict[str, Json]]:
    """Yield an image's headers and records as objects; the image is walked once.

    The HVM context is read by the layouts of `release`, or of the one that the image names.
    """
    for event in image.events():
        if release is None and isinstance(event.header, DomainHeader):
            release = release_named(event.header)
        yield event_json(event, release)
