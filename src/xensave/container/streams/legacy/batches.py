"""Batches of pages as PAGE_DATA records, the compressed ones of Remus included."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from xensave.container.events import LIBXC, RECORD, Event
from xensave.container.made import MadeEvent
from xensave.container.streams import libxc
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy.reader import ChunkReader
from xensave.container.streams.legacy.remus import decompress
from xensave.container.streams.libxc_records import PageData
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported
from xensave.source import Source

PENDING_LIMIT = 1 << 16
"""The most entries whose pages are still to come; the sender's buffer has 8192 pages."""
CONTENTS_LIMIT = 16384
"""Pages whose contents are kept for later differences: twice the sender's cache."""
NOWHERE = 1 << 62
"""The place of a page that does not lie in the input: whoever reads there is told so."""


class Batches:
    """Turns batches into records, and remembers what a difference may refer to."""

    def __init__(self, source: Source, reader: ChunkReader) -> None:
        self._source = source
        self._reader = reader
        self._pending: deque[int] = deque()
        self._rest = b""
        # Pages that came compressed, and of a pipe all others too, the latest last.
        self._latest: OrderedDict[int, bytes] = OrderedDict()
        # Of a file: plain batches that no difference was asked for behind, and what those before
        # hold.
        self._fresh: list[tuple[int, int, int]] = []
        self._places = PagePlaces()
        self._forgotten = False

    def pages(self, event: Event) -> Iterator[Event]:
        """Yields the record of a batch whose pages follow it; keeps the others' entries.

        Raises Malformed for a PFN twice in a batch, LimitExceeded where too many pages are
        announced.
        """
        entries = tuple(entry for entry in self._reader.entries if entry != c.HOLE)
        if len(set(entries)) != len(entries):
            raise event.fault(Malformed, "a PFN twice in one batch")
        if not event.length and any(_has_contents(entry) for entry in entries):
            self._pending += entries
            if len(self._pending) > PENDING_LIMIT:
                what = f"{len(self._pending)} pages are announced, the limit is {PENDING_LIMIT}"
                raise event.fault(LimitExceeded, what)
            return
        made = MadeEvent(
            self._source, LIBXC, RECORD, libxc.RECORDS[libxc.PAGE_DATA], type_=libxc.PAGE_DATA,
            offset=event.offset, end=event.end, front=_front(entries),
            pages=event.length, pages_at=event.body_offset,
        )  # fmt: skip
        self._remember(event, entries, made)
        yield made

    def compressed(self, event: Event) -> Iterator[Event]:
        """Yields records of the pages that the differences make of what was there before.

        Raises Malformed where bytes follow the last page.
        """
        data = self._rest + bytes(event.body())
        at = 0
        entries: list[int] = []
        pages: list[bytes] = []
        while self._pending and (at < len(data) or not _has_contents(self._pending[0])):
            entry = self._pending[0]
            if _has_contents(entry):
                try:
                    page, at = decompress(data, at, self._before(entry & c.PFN_MASK, event))
                except Truncated:
                    # The rest of the page comes with the next chunk.
                    break
                pages.append(page)
                self._keep(entry & c.PFN_MASK, page)
            entries.append(self._pending.popleft())
            if len(entries) == c.MAX_BATCH:
                yield self._record(event, entries, pages)
                entries, pages = [], []
        if entries:
            yield self._record(event, entries, pages)
        self._rest = data[at:]
        if self._rest and not self._pending:
            what = f"{len(self._rest)} bytes follow the last page"
            raise event.fault(Malformed, what, event.end - len(self._rest))

    def end(self, event: Event) -> Iterator[Event]:
        """Yields what waits at the end of a body. Raises Malformed where pages are missing."""
        missing = sum(_has_contents(entry) for entry in self._pending)
        if missing:
            raise event.fault(Malformed, f"{missing} pages were announced and did not come")
        while self._pending:
            entries = [self._pending.popleft() for _ in range(min(c.MAX_BATCH, len(self._pending)))]
            yield self._record(event, entries, [])

    def _record(self, event: Event, entries: list[int], pages: list[bytes]) -> Event:
        return MadeEvent(
            self._source, LIBXC, RECORD, libxc.RECORDS[libxc.PAGE_DATA], type_=libxc.PAGE_DATA,
            offset=event.offset, end=event.end, body_at=NOWHERE,
            front=_front(tuple(entries)) + b"".join(pages),
        )  # fmt: skip

    def _keep(self, pfn: int, page: bytes) -> None:
        self._latest[pfn] = page
        self._latest.move_to_end(pfn)
        if len(self._latest) > CONTENTS_LIMIT:
            self._latest.popitem(last=False)
            self._forgotten = True

    def _remember(self, event: Event, entries: tuple[int, ...], made: Event) -> None:
        """Remembers where a plain batch's pages lie, or the pages, where they come but once."""
        if not event.length:
            return
        if self._source.seekable:
            at = event.offset + 4
            self._fresh.append((at, event.body_offset - at, event.body_offset))
            for pfn in _with_contents(entries) if self._latest else ():
                self._latest.pop(pfn, None)
            return
        body = bytes(made.body())
        at = len(body) - event.length
        for pfn in _with_contents(entries):
            self._keep(pfn, body[at : at + c.PAGE_SIZE])
            at += c.PAGE_SIZE

    def _before(self, pfn: int, event: Event) -> bytes:
        """Returns what a page held: zeros, if nothing was sent of it."""
        page = self._latest.get(pfn) or self._in_file(pfn)
        if page is None and self._forgotten:
            what = f"PFN {pfn:#x} differs from contents that came too long ago to be kept"
            raise event.fault(Unsupported, what)
        return page or bytes(c.PAGE_SIZE)

    def _in_file(self, pfn: int) -> bytes | None:
        """Returns what the last plain batch in the file that has a page gives it."""
        for at, size, pages in self._fresh:
            self._places.add(
                _with_contents(self._reader.ulongs(self._source.view(at, size))), pages
            )
        self._fresh = []
        place = self._places.get(pfn)
        return None if place is None else bytes(self._source.view(place, c.PAGE_SIZE))


class PagePlaces:
    """Where in the file each page lies, in arrays for runs of PFNs: eleven bytes a page.

    >>> places = PagePlaces()
    >>> places.add([7, 8], 4096)
    >>> places.get(8), places.get(9)
    (8192, None)
    """

    _RUN = 64

    def __init__(self) -> None:
        self._runs: dict[int, array[int]] = {}

    def add(self, pfns: Iterable[int], place: int) -> None:
        """Takes pages that lie one behind the other from a place on."""
        for pfn in pfns:
            run = self._runs.get(pfn // self._RUN)
            if run is None:
                run = self._runs[pfn // self._RUN] = array("q", [-1]) * self._RUN
            run[pfn % self._RUN] = place
            place += c.PAGE_SIZE

    def get(self, pfn: int) -> int | None:
        """Returns the last place of a page, None where it has none."""
        run = self._runs.get(pfn // self._RUN)
        return None if run is None or run[pfn % self._RUN] < 0 else run[pfn % self._RUN]


def _with_contents(entries: Iterable[int]) -> Iterator[int]:
    return (entry & c.PFN_MASK for entry in entries if _has_contents(entry))


def _has_contents(entry: int) -> bool:
    return entry & c.TYPE_MASK < c.BROKEN


def _front(entries: tuple[int, ...]) -> bytes:
    """Returns what begins PAGE_DATA: bits 31 - 28, the type, become bits 63 - 60.

    >>> _front((0xf0000005,))[8:].hex()
    '05000000000000f0'
    """
    words = [(entry & c.TYPE_MASK) << 32 | entry & c.PFN_MASK for entry in entries]
    return PageData(tuple(words)).to_bytes()
