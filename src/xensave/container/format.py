"""What a container format is: a class that tells, walks and names what it holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping

from xensave.container.description import GuestDescription
from xensave.container.events import HEADER_KIND, Event, Header, LayerName
from xensave.container.framing import pack_record
from xensave.source import Source


class Format(ABC):
    """A container format; one instance of each kind stands in `formats.FORMATS`.

    `name` is the word for `--input-format` and the `layer` of its events; its rules stand in
    `rules/stream/formats/NAME.py`, a tuple CHECKS. `title` says in a message what it is, `page` is
    the page of the documentation that says where such files lie and what can be done with them.
    `records` names its records by type. `trailer` says whether bytes after its end are worth
    telling, `pages` whether page records may be in it. A format that `convert` writes names in
    `inner` the stream in it (libxl or libxc), and in `demands` what `front` must be given for it.

    `device_model` is the type of the record that holds a device model's state. libxl's says first
    which one it is; where a format's does not, `model_head` is what libxl would say there.
    `marks` are the types of records that `front` and `back` write, or that a stream follows;
    `modern` has for one that a legacy stream follows the one that a stream of today does.
    """

    name: LayerName
    title: str
    page: str
    magics: tuple[bytes, ...] = ()
    records: Mapping[int, str] = {}
    trailer = True
    pages = True
    inner: LayerName | None = None
    demands = ""
    device_model: int | None = None
    model_head = b""
    marks: Collection[int] = ()
    modern: Mapping[int, int] = {}

    def matches(self, head: bytes) -> bool:
        """Tells whether an input that begins with `head` (HEAD_SIZE bytes at most) is one."""
        return bool(self.magics) and head.startswith(self.magics)

    def announcing(self, header: Header, *, legacy: bool = False) -> Header | None:
        """Returns a header of this format as it stands around a stream of today, or a legacy one.

        None where no such frame is read any more. What `walk` makes of a legacy stream is one of
        today: headers that announce the other are changed.
        """
        return header

    def front(self, metadata: bytes, options: int = 0) -> bytes:
        """Returns what stands before a stream of the kind `inner`.

        `metadata` is what the format demands, `options` are those of a libxl stream. Raises
        UsageError for metadata that the format cannot hold.
        """
        return b""

    def back(self) -> bytes:
        """Returns what stands behind the stream and the records of devices."""
        return b""

    def pack(self, type_: int, body: bytes | memoryview = b"") -> bytes:
        """Returns a record of this format."""
        return pack_record(type_, body)

    def describes(self, event: Event) -> bool:
        """Tells whether an event's body says what `describe` reads: by default, of a header's."""
        return event.kind == HEADER_KIND and event.length > 0

    def describe(self, body: bytes) -> GuestDescription:
        """Returns what the frame says of its guest."""
        return GuestDescription(text=body.decode("utf-8", "replace"))

    def detail(self, type_: int, body: bytes, length: int) -> tuple[str, str] | None:
        """Returns a label and a text for `show`, of a record whose body is `length` bytes long.

        `body` may be only the beginning of it. None where there is nothing to say.
        """
        return None

    @abstractmethod
    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the headers and records, those of the streams inside in their place.

        Of a legacy stream they are those of the version 3 stream that it stands for; with
        `stored` they are its chunks as they lie.

        Raises Truncated where the input ends before the format does, and Malformed or
        Unsupported where it cannot be followed.
        """
