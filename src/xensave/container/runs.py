"""Runs of page records: records of one length and count that follow each other, as one event.

Nearly all PAGE_DATA records of a stream are alike but for their PFNs and pages. Where the input
can be read at any place, a stretch of them is found by arithmetic: the headers lie a fixed
distance apart, are read together and compared at once. Where the pattern breaks, records come one
by one again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xensave.container.events import LIBXC, RECORD, Event
from xensave.container.framing import HEADER_SIZE
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PAIR
from xensave.container.walk import walk
from xensave.source import Source
from xensave.source.memory import MemorySource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]

FRONT = HEADER_SIZE + PAIR.size
"""The bytes that records of a run share: type and length, PFN count and reserved field."""

SHORTEST = 1024
"""Fewer records are no run: one by one they take less time than the import of numpy."""

WINDOW = 8 << 20
"""What is read of the records of a run at once, in bytes, ..."""

LONGEST = 4096
"""... and the most records of one."""


class PageRun(Event):
    """PAGE_DATA records of one length and one PFN count, back to back; `length` is of one body.

    `records` is how many, `count` how many PFNs each lists. `offset` is where the first begins,
    `end` where the record behind the last does.
    """

    __slots__ = ("_fronts", "count", "records", "stride")

    def __init__(
        self, source: Source, like: Event, offset: int, records: int, fronts: bytes | bytearray
    ) -> None:
        super().__init__(
            source, LIBXC, RECORD, like.name, like.raw, length=like.length, type_=like.type
        )
        self.offset = offset
        self.records = records
        self.count: int = PAIR.unpack(like.prefix(PAIR.size))[0]
        self.stride = like.end - like.offset
        self._fronts = fronts

    @property
    def end(self) -> int:
        """Where the record behind the run begins."""
        return self.offset + self.records * self.stride

    def pfns(self) -> Words:
        """Return the PFN arrays, a row for each record; only of a walk that reads them."""
        import numpy as np

        words = np.frombuffer(self._fronts, "<u8")
        return words.reshape(-1, FRONT // 8 + self.count)[: self.records, FRONT // 8 :]

    def apart(self) -> Iterator[Event]:
        """Yield the records one by one, as a walk gives them."""
        for at in range(self.offset, self.end, self.stride):
            event = Event(
                self._source,
                LIBXC,
                RECORD,
                self.name,
                self.raw,
                length=self.length,
                type_=self.type,
            )
            event.offset = at
            yield event


def walk_in_runs(
    source: Source, format: str | None = None, *, stored: bool = False, pfns: bool = False
) -> Iterator[Event]:
    """Yield the events that `walk` does, stretches of page records as one PageRun each.

    `pfns` says that their PFNs will be asked for: they are read with the headers.
    """
    for event in walk(source, format, stored=stored):
        yield event
        if not event.is_record(LIBXC, libxc.PAGE_DATA) or not isinstance(source, MemorySource):
            continue
        # The walk goes on from where the source stands.
        while run := _run(source, event, max(event.end, source.offset), pfns=pfns):
            yield run
            source.skip(run.end - source.offset)


def _run(source: MemorySource, like: Event, at: int, *, pfns: bool) -> PageRun | None:
    """Return the run of records like this one that begins at an offset; None for a short one."""
    stride = like.end - like.offset
    most = ((source.size or 0) - at) // stride
    head = bytes(like.raw) + bytes(like.prefix(PAIR.size))
    if (
        most < SHORTEST
        or like.pad_length
        or source.view(at + (SHORTEST - 1) * stride, FRONT) != head
    ):
        return None
    size = FRONT + (8 * PAIR.unpack_from(head, HEADER_SIZE)[0] if pfns else 0)
    if size > HEADER_SIZE + like.length:
        # An array that does not fit is for the rules to name, record by record.
        return None
    most = min(most, LONGEST, max(SHORTEST, WINDOW // size))
    fronts = source.strided(at, stride, size, most)
    records = _alike(fronts, head, size, most)
    return PageRun(source, like, at, records, fronts) if records >= SHORTEST else None


def _alike(fronts: bytes | bytearray, head: bytes, size: int, most: int) -> int:
    """Return how many records, from the first on, begin with this head."""
    if len(fronts) != most * size:
        return 0
    if size == FRONT and fronts == head * most:
        return most
    import numpy as np

    heads = np.frombuffer(fronts, "<u8").reshape(most, size // 8)[:, : FRONT // 8]
    wrong = np.flatnonzero((heads != np.frombuffer(head, "<u8")).any(axis=1))
    return int(wrong[0]) if len(wrong) else most


def _record(source: Source, like: Event, at: int) -> Event:
    """Return the record at an offset, which has the head of another one."""
    event = Event(source, LIBXC, RECORD, like.name, like.raw, length=like.length, type_=like.type)
    event.offset = at
    return event
