"""A decoded image as bytes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

from xensave.edit.document.decode import SCHEMA
from xensave.edit.document.events import Part, Slice, event_parts
from xensave.edit.document.members import Members
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported, UsageError
from xensave.source import Source
from xensave.source.base import write_all

TEXT_LIMIT = 1 << 30
"""A longer document is not read."""


class Document:
    """A decoded image: where its page contents are, and its events."""

    def __init__(self, members: Members) -> None:
        version = members.number("xensave")
        if version != SCHEMA:
            raise Unsupported(f"a document of version {version}, expected {SCHEMA}")
        if "error" in members:
            raise Malformed("a document that breaks off: the image that it is of is damaged")
        image = members.get("image")
        self.image = image if isinstance(image, str) else None
        self.events = members.objects("events")

    @classmethod
    def load(cls, file: TextIO) -> Document:
        """Reads a document. Raises Malformed for what is none, LimitExceeded above TEXT_LIMIT."""
        try:
            text = file.read(TEXT_LIMIT + 1)
            if len(text) > TEXT_LIMIT:
                raise LimitExceeded(f"a document of more than {TEXT_LIMIT} characters")
            return cls(Members(json.loads(text), ""))
        except (ValueError, RecursionError) as error:
            raise Malformed(f"no JSON: {error}") from error

    @property
    def parts(self) -> Iterator[Part]:
        """The bytes of the image, and the slices that stay in the one that it names."""
        for item in self.events:
            yield from event_parts(item)

    @property
    def needs_image(self) -> bool:
        """Whether any byte stays in the image."""
        return any("image" in item for item in self.events)


def write_document(document: Document, source: Source | None, fd: int) -> None:
    """Writes an image: what the document holds, and the slices of `source`.

    Raises Malformed for the document, UsageError where the source cannot give a slice: one that
    can be read forward only must be asked in its order.
    """
    for part in document.parts:
        if isinstance(part, Slice):
            _copy(part, source, fd)
        else:
            write_all(fd, memoryview(part))


def _copy(part: Slice, source: Source | None, fd: int) -> None:
    if source is None:
        raise UsageError("the document leaves page contents in an image: name it by --image")
    if source.seekable:
        source.offset = part.offset
    elif part.offset < source.offset:
        raise UsageError(
            "can be read forward only, and the document goes back; decompress it"
        ).about(source.name)
    else:
        source.skip(part.offset - source.offset)
    try:
        source.copy_to(fd, part.length)
    except Truncated as error:
        what = f"the image has no {part.length} bytes there: it is not the decoded one"
        raise error.reworded(what) from error
