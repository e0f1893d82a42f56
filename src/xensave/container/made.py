"""Events that a reader makes of bytes in another form: what a legacy chunk is as a record."""

from __future__ import annotations

from xensave.container.events import Event, Header, Kind, LayerName
from xensave.container.framing import HEADER
from xensave.errors import UsageError
from xensave.source import Source
from xensave.source.base import write_all


class MadeEvent(Event):
    """A record or header that does not lie in the input as it is.

    Its `offset` and `end` are those of what it was made of. The body is `front`, and then `pages`
    bytes that do lie in the input, right before the source's place or where `pages_at` says;
    `body_offset` is such that an offset in the pages is the input's. Where nothing of the body
    lies there so, `body_at` is the place that findings in the body point at.
    """

    __slots__ = ()
    made = True

    def __init__(
        self,
        source: Source,
        layer: LayerName,
        kind: Kind,
        name: str,
        *,
        offset: int,
        end: int,
        type_: int = -1,
        header: Header | None = None,
        raw: bytes | None = None,
        front: bytes = b"",
        pages: int = 0,
        pages_at: int = 0,
        body_at: int | None = None,
    ) -> None:
        length = len(front) + pages
        if raw is None:
            raw = HEADER.pack(type_, length) if header is None else header.to_bytes()
        super().__init__(
            source, layer, kind, name, memoryview(raw),
            length=length, type_=type_, header=header, taken=front, offset=offset,
        )  # fmt: skip
        self.end = end
        self.body_offset = body_at if body_at is not None else pages_at - len(front)

    @classmethod
    def with_header(cls, event: Event, header: Header, body: bytes | None = None) -> MadeEvent:
        """Returns an event with another header before its body, or before another one."""
        front = bytes(event.body()) if body is None else body
        return cls(
            event._source, event.layer, event.kind, event.name, offset=event.offset, end=event.end,
            header=header, front=front, body_at=event.body_offset,
        )  # fmt: skip

    @classmethod
    def with_front(
        cls, event: Event, layer: LayerName, name: str, front: bytes, left_out: int
    ) -> MadeEvent:
        """Returns what follows the first `left_out` bytes of an event's body, behind other ones.

        Those first bytes must have been read.
        """
        head = event.head
        return cls(
            event._source, layer, event.kind, name, offset=event.offset, end=event.end, raw=front,
            front=bytes(head[left_out:]), pages=event.length - len(head),
            pages_at=event.body_offset + len(head),
        )  # fmt: skip

    def padding(self) -> bytes:
        """Returns zeros."""
        return bytes(self.pad_length)

    def copy_to(self, out_fd: int) -> None:
        """Writes header, body and padding to a descriptor; pages go through the kernel."""
        write_all(out_fd, self.raw)
        write_all(out_fd, memoryview(self.head))
        rest = self.length - len(self.head)
        if rest:
            self._named(self._copy_pages, out_fd, rest)
        write_all(out_fd, memoryview(self.padding()))

    def finish(self) -> None:
        """Does nothing: what it was made of is passed over by its own event."""

    def _more(self, n: int) -> bytes | memoryview:
        if not self._source.seekable:
            return super()._more(n)
        place = self.body_offset + len(self.head)
        return bytes(self.head) + self._source.view(place, n - len(self.head))

    def _copy_pages(self, out_fd: int, rest: int) -> None:
        source, place = self._source, self.body_offset + len(self.head)
        if not source.seekable:
            if source.offset != place:
                raise UsageError("the body of a forward-only source was passed over")
            source.copy_to(out_fd, rest)
            return
        before, source.offset = source.offset, place
        try:
            source.copy_to(out_fd, rest)
        finally:
            source.offset = before
