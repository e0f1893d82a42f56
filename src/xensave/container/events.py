"""What a walk over an image gives: headers and records in order, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NewType, Protocol, TypeAlias, TypeVar

from xensave.container.framing import padding_size
from xensave.errors import LimitExceeded, Truncated, UsageError, XensaveError
from xensave.source import Source, limits
from xensave.source.base import write_all

T = TypeVar("T")
E = TypeVar("E", bound=XensaveError)

LayerName = NewType("LayerName", str)
"""Where a record lies: the name of its format. Formats are an open set, so it is no enumeration."""

XL: Final = LayerName("xl")
LIBXL: Final = LayerName("libxl")
LIBXC: Final = LayerName("libxc")
HVM: Final = LayerName("hvm")
LEGACY: Final = LayerName("legacy")
LIBVIRT: Final = LayerName("libvirt")
XENOPSD: Final = LayerName("xenopsd")
XEND: Final = LayerName("xend")

Kind: TypeAlias = Literal["header", "record", "context", "trailer"]
HEADER_KIND: Final = "header"
RECORD: Final = "record"
CONTEXT: Final = "context"
TRAILER: Final = "trailer"

_TAKEN_AT_MOST = 16


class Header(Protocol):
    """What the parsed fields of every header can do."""

    @property
    def about(self) -> str:
        """What the fields say, in words."""

    @property
    def begins(self) -> str:
        """The layer that begins here; "" where none does."""

    @property
    def version(self) -> int | None:
        """The version of that layer, None where it has none."""

    def to_bytes(self) -> bytes:
        """Returns the header's bytes again."""


class Event:
    """A header or record of one layer, and its bytes for as long as the walk stands at it.

    `layer` is where it lies: XL, LIBXL, LIBXC, HVM, ... `kind` is HEADER_KIND (then `header` holds
    the parsed fields; the body of the xl header is its optional data), RECORD (then `type` is its
    number), CONTEXT (the whole input is a bare HVM context, which is the body) or TRAILER
    (bytes after the outermost END). `offset` is where its first byte stands in the input, `raw` its
    fixed bytes, `length` the length of its body, which begins at `body_offset`; `end` is where the
    next event begins.

    Bodies are read when asked for and passed over otherwise. From a source that is not seekable
    they can only be read until the walk goes on. `padded` says that the body is padded to 8
    bytes, if it is a record's; `taken` is the part of it that was read before, and `offset`
    the place of an event that does not begin right before the source's own. `head` is what was
    read of the body so far.
    """

    __slots__ = ("_source", "body_offset", "end", "head", "header", "kind", "layer", "length",
                 "name", "offset", "pad_length", "raw", "type")  # fmt: skip

    records = 1
    """How many it stands for (see `runs.PageRun`)."""
    made = False
    """Whether it stands for bytes of another form in the input (see `made.MadeEvent`)."""

    def __init__(
        self,
        source: Source,
        layer: LayerName,
        kind: Kind,
        name: str,
        raw: memoryview,
        *,
        length: int = 0,
        type_: int = -1,
        header: Header | None = None,
        padded: bool = True,
        taken: bytes = b"",
        offset: int | None = None,
    ) -> None:
        self._source = source
        self.head: bytes | memoryview = taken
        self.layer = layer
        self.kind = kind
        self.name = name
        self.raw = raw
        self.offset = source.offset - len(raw) if offset is None else offset
        self.length = length
        self.pad_length = padding_size(length) if kind == RECORD and padded else 0
        self.body_offset = self.offset + len(raw)
        self.end = self.body_offset + length + self.pad_length
        self.type = type_
        self.header = header

    def __repr__(self) -> str:
        return f"<{self.label} at {self.offset:#x}, {self.length} bytes>"

    @property
    def label(self) -> str:
        """The layer and name, as findings and errors give it: "libxc PAGE_DATA"."""
        return f"{self.layer} {self.name}"

    def is_record(self, layer: LayerName, type_: int) -> bool:
        """Tells whether this is that layer's record of that type."""
        return self.type == type_ and self.layer == layer and self.kind == RECORD

    def fault(self, kind: type[E], message: str, offset: int | None = None) -> E:
        """Returns an error about it, at its first byte or another offset."""
        place = self.offset if offset is None else offset
        return kind(message, offset=place, record=self.label)

    def moved_to(self, offset: int) -> Event:
        """Returns a record of the same header at another offset of an input that is seekable."""
        return Event(
            self._source, self.layer, self.kind, self.name, self.raw,
            length=self.length, type_=self.type, offset=offset,
        )  # fmt: skip

    def prefix(self, n: int) -> bytes | memoryview:
        """Returns the first n bytes of the body, fewer if it has fewer; the rest stays unread."""
        n = min(n, self.length)
        head = self.head
        if n > len(head):
            try:
                self.head = head = self._more(n)
            except XensaveError as error:
                raise self._placed(error) from error
        return head[:n]

    def body(self) -> bytes | memoryview:
        """Returns the whole body. Raises LimitExceeded above the source's limit for one read."""
        return self.prefix(self.length)

    def padding(self) -> bytes:
        """Returns the bytes that pad the body to a multiple of 8; they should be zero."""
        return bytes(self._named(self._padding)) if self.pad_length else b""

    def to_bytes(self) -> bytes:
        """Returns header, body and padding: the bytes that the walk read here."""
        return b"".join((self.raw, self.body(), self.padding()))

    def copy_to(self, out_fd: int) -> None:
        """Writes header, body and padding to a descriptor; unread bodies go through the kernel."""
        self._named(self._copy, out_fd)

    def finish(self) -> None:
        """Passes over what was not read; the walk does this before it goes on."""
        left = self.end - self._source.offset
        if left > 0:
            self._named(self._source.skip, left)

    def _more(self, n: int) -> bytes | memoryview:
        if self._source.seekable:
            return self._source.view(self.body_offset, n)
        if self._source.offset != self.body_offset + len(self.head):
            raise UsageError("the body of a forward-only source was passed over")
        more = self._source.read(n - len(self.head))
        return bytes(self.head) + more if self.head else more

    def _padding(self) -> memoryview:
        at = self.body_offset + self.length
        if self._source.seekable:
            return self._source.view(at, self.pad_length)
        if self._source.offset < at:
            # Whoever comes after this still reads what a record begins with.
            if len(self.head) < min(_TAKEN_AT_MOST, self.length):
                self.head = self._more(min(_TAKEN_AT_MOST, self.length))
            self._source.skip(at - self._source.offset)
        pad = self._source.peek(self.pad_length)
        if len(pad) < self.pad_length:
            self._source.skip(self.pad_length)
        return pad

    def _copy(self, out_fd: int) -> None:
        read = self._source.offset - self.body_offset
        if read > len(self.head):
            raise UsageError("the body of a forward-only source was passed over")
        write_all(out_fd, self.raw)
        write_all(out_fd, memoryview(self.head)[:read])
        self._source.copy_to(out_fd, self.end - self._source.offset)

    def _named(self, act: Callable[..., T], *args: int) -> T:
        """Does it; an error says which record it was in, what is missing in terms of the record."""
        try:
            return act(*args)
        except XensaveError as error:
            raise self._placed(error) from error

    def _placed(self, error: XensaveError) -> XensaveError:
        """Returns an error that says which record it was in."""
        placed = error.reworded(error.message)
        # A path says that it is the compression below that ends too early.
        if isinstance(error, Truncated) and error.offset is not None and not error.path:
            placed = self.cut(error.got + error.offset - self.body_offset)
        placed.record = error.record or self.label
        return placed

    def cut(self, got: int) -> Truncated:
        """Returns the error of an input that ends after `got` bytes of the body."""
        wanted = self.end - self.body_offset
        return Truncated(
            f"input ends after {got} of {wanted} bytes of its body",
            wanted=wanted,
            got=got,
            offset=self.offset,
            record=self.label,
        )


def bounded(events: Iterator[Event]) -> Iterator[Event]:
    """Yields events until there were more records than a stream of their bytes has.

    Eight bytes are a record, and each costs the same work. Raises LimitExceeded behind the
    last of them.
    """
    for count, event in enumerate(events, 1):
        yield event
        if count > limits.RECORDS_FLOOR:
            bound(count, event)


def bound(records: int, last: Event) -> None:
    """Raises LimitExceeded where there were more records than a stream has of this length.

    >>> from xensave.source import open_source
    >>> end = Event(open_source(b"x"), "libxc", "record", "END", memoryview(bytes(8)), offset=8000)
    >>> bound(1001, end)
    """
    if records > limits.RECORDS_FLOOR + last.end // limits.RECORD_BYTES:
        about = f"{records:,} records of {last.end // records} bytes on average"
        raise last.fault(LimitExceeded, f"{about}: what follows was not looked at")
