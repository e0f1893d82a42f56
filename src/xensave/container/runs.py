"""Runs of page records: records of one length and count that follow each other, as one event.

Nearly all PAGE_DATA records of a stream are alike but for their PFNs and pages. Where the input
can be read at any place, a stretch of them is found by arithmetic: the headers lie a fixed
distance apart, are read together and compared at once. Where the pattern breaks, records come one
by one again.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

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

SHORTEST = 64
"""Fewer records begin no run; ..."""

SHORTEST_OF_ARRAYS = 8192
"""... nor do these, if all PFNs are asked for: numpy's import takes as long as so many records."""

WINDOW = 1 << 20
"""What is read of the records of a run at once, in bytes: what a processor's cache keeps, ..."""

LONGEST = 4096
"""... and the most records of one."""

Listed = Literal["none", "first", "all"]
"""Which of the PFNs that each record lists are asked for: none, its first, or all."""


class PageRun(Event):
    """PAGE_DATA records of one length and one PFN count, back to back; `length` is of one body.

    `records` is how many, `count` how many PFNs each lists. `offset` is where the first begins,
    `end` where the record behind the last does.
    """

    __slots__ = ("_fronts", "_memory", "count", "records", "stride")

    def __init__(
        self,
        source: MemorySource,
        like: Event,
        offset: int,
        *,
        records: int,
        fronts: bytes | bytearray,
    ) -> None:
        super().__init__(
            source, LIBXC, RECORD, like.name, like.raw,
            length=like.length, type_=like.type, offset=offset,
        )  # fmt: skip
        self.records = records
        self.count: int = PAIR.unpack(like.prefix(PAIR.size))[0]
        self.stride = like.end - like.offset
        self.end = offset + records * self.stride
        self._fronts = fronts
        self._memory = source

    def pfns(self) -> Words:
        """Returns the PFN arrays, a row for each record; only of a walk that reads "all"."""
        import numpy as np

        words = np.frombuffer(self._fronts, "<u8")
        return words.reshape(-1, FRONT // 8 + self.count)[: self.records, FRONT // 8 :]

    def firsts(self) -> list[int]:
        """Returns each record's first PFN; only of a walk that reads "first"."""
        width = FRONT // 8 + 1
        return _integers(self._fronts, width - 1, width, self.records)

    def lasts(self, numbers: Sequence[int]) -> list[int]:
        """Reads the last PFN of some of the records, which are counted from 0."""
        at = self.offset + FRONT + 8 * (self.count - 1)
        if 2 * len(numbers) < self.records:
            read = self._memory.read_range
            words = b"".join([read(at + number * self.stride, 8) for number in numbers])
            return _integers(words, 0, 1, len(numbers))
        words = bytes(self._memory.strided(at, self.stride, 8, self.records))
        every = _integers(words, 0, 1, self.records)
        return [every[number] for number in numbers]

    def apart(self) -> Iterator[Event]:
        """Yields the records one by one, as a walk gives them."""
        for at in range(self.offset, self.end, self.stride):
            yield self.moved_to(at)


def walk_in_runs(
    source: Source,
    format: str | None = None,
    *,
    stored: bool = False,
    listed: Listed = "none",
    least: int | None = None,
) -> Iterator[Event]:
    """Yields the events that `walk` does, stretches of page records as one PageRun each.

    `listed` says which PFNs will be asked for: they are read with the headers. `least` is how many
    records begin a run, where whoever asks has numpy already.
    """
    # What was read and was no run is not read again: not before the walk is past it.
    wait = 0
    if least is None:
        least = SHORTEST_OF_ARRAYS if listed == "all" else SHORTEST
    for event in walk(source, format, stored=stored):
        yield event
        if not event.is_record(LIBXC, libxc.PAGE_DATA) or not isinstance(source, MemorySource):
            continue
        # The walk goes on from where the source stands.
        at = max(event.end, source.offset)
        if at < wait or not _begins(source, event, at, least):
            continue
        while True:
            run, read = _run(source, event, at, listed)
            if run is not None and run.records:
                yield run
                source.skip(run.end - source.offset)
            if run is None or run.records < read or not read:
                wait = at + read * (event.end - event.offset)
                break
            at = run.end


def _begins(source: MemorySource, like: Event, at: int, least: int) -> bool:
    """Tells whether `least` records like this one may follow."""
    far = (least - 1) * (like.end - like.offset)
    if like.pad_length or at + far + FRONT > (source.size or 0):
        return False
    return source.read_range(at + far, FRONT) == bytes(like.raw) + bytes(like.prefix(PAIR.size))


def _run(source: MemorySource, like: Event, at: int, listed: Listed) -> tuple[PageRun | None, int]:
    """Returns the records like this one from an offset on, and how many were read to tell."""
    stride = like.end - like.offset
    head = bytes(like.raw) + bytes(like.prefix(PAIR.size))
    count: int = PAIR.unpack_from(head, HEADER_SIZE)[0]
    if FRONT + 8 * count > HEADER_SIZE + like.length or (listed != "none" and not count):
        # An array that does not fit is for the rules to name, record by record.
        return None, 0
    size = FRONT + {"none": 0, "first": 8, "all": 8 * count}[listed]
    read = min(((source.size or 0) - at) // stride, LONGEST, max(1, WINDOW // size))
    fronts = source.strided(at, stride, size, read)
    if listed == "first":
        # What `lasts` reads may overwrite it.
        fronts = bytes(fronts)
    alike = _alike(fronts, head, size, read)
    return PageRun(source, like, at, records=alike, fronts=fronts), read


def _alike(fronts: bytes | bytearray, head: bytes, size: int, most: int) -> int:
    """Returns how many records, from the first on, begin with this head."""
    if len(fronts) != most * size:
        return 0
    if size == FRONT and fronts == head * most:
        return most
    words, shared = _words(fronts), _words(head * most)
    alike = most
    for at in range(len(head) // 8):
        ours, wanted = words[at :: size // 8], shared[at :: len(head) // 8]
        if ours != wanted:
            pairs = enumerate(zip(ours.tolist(), wanted.tolist(), strict=True))
            alike = min(alike, next(n for n, (word, other) in pairs if word != other))
    return alike


def _integers(data: bytes | bytearray, first: int, step: int, count: int) -> list[int]:
    """Returns little-endian words a step apart."""
    if sys.byteorder == "big":
        return list(struct.unpack(f"<{len(data) // 8}Q", data)[first::step][:count])
    return _words(data)[first::step][:count].tolist()


def _words(data: bytes | bytearray) -> memoryview[int]:
    return memoryview(data).cast("Q")
