"""One pass over an image: every record counted, what is small kept, pages passed over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

from xensave.container.events import (
    CONTEXT,
    HEADER_KIND,
    LIBXC,
    RECORD,
    TRAILER,
    Event,
    Header,
    LayerName,
)
from xensave.container.formats import format_named
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PFN_MASK
from xensave.container.walk import format_of, walk
from xensave.errors import LimitExceeded, SourceError, UsageError, XensaveError
from xensave.source import Source

if TYPE_CHECKING:
    from xensave.container.description import GuestDescription
    from xensave.container.runs import PageRun

# What all records that are kept may take together, and what each costs beside its bytes.
KEEP_LIMIT = 64 << 20
_TRAILING = 64 << 10
_OVERHEAD = 512
STATE_LIMIT = 1 << 20
"""How much of an emulator's state is kept; xenopsd, for one, refuses more than that of QEMU's."""

BATCH_LIMIT = 1 << 16
"""The order of the frames in a longer record (Xen writes 1024) is not looked at."""

SAMPLED = 64
"""Of so many page records that seem to list frames without a gap one is looked at."""


class Count(NamedTuple):
    """How many records of a type there are in a layer, and the bytes of their bodies."""

    layer: LayerName
    name: str
    type: int
    records: int
    bytes: int


class BufferedRecord(NamedTuple):
    """A record's place and bytes; `body` may be only the beginning of `length` bytes.

    `offset` is that of its header, `body_offset` that of its body.
    """

    layer: LayerName
    name: str
    type: int
    offset: int
    body_offset: int
    length: int
    body: bytes

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Lets errors of reading the body say where in the image the record lies."""
        try:
            yield
        except XensaveError as error:
            error.offset = self.offset
            raise


class _Sum:
    __slots__ = ("bytes", "name", "records")

    def __init__(self, name: str) -> None:
        self.name = name
        self.records = 0
        self.bytes = 0


class Tally:
    """What a pass found: the layers from the outside in, headers by label, counts, kept records.

    `frames` counts the PFNs that PAGE_DATA records list: in a live migration one may come more
    than once, and `resent` says that some may have: a record begins below where another ended. One
    that begins where the one before ends, if that has no gap, is taken to follow it; of 64 such
    records one is looked at. Of a checkpointed stream the records of the
    last checkpoint that had them are kept. `unread` are the bytes that a glance passed over,
    `trailing` the first 64 KiB of a trailer. `firsts` is where the first
    record of each type begins. `stop` is why the stream could not be followed to its end, None
    where it could.
    """

    def __init__(self) -> None:
        self.headers: dict[str, Header] = {}
        self.layers: list[str] = []
        self.config = b""
        self.description: GuestDescription | None = None
        self.context: BufferedRecord | None = None
        self._sums: dict[tuple[LayerName, int], _Sum] = {}
        self.buffered: dict[tuple[LayerName, int], list[BufferedRecord]] = {}
        self.frames = 0
        self.resent = False
        self._last_pfn = self._behind = -1
        self.trailing = b""
        self.checkpoints = 0
        self.trailer = 0
        self.size = 0
        self.unread = 0
        self.firsts: dict[tuple[LayerName, int], int] = {}
        self.stop: XensaveError | None = None
        self._epochs: dict[tuple[LayerName, int], int] = {}
        self._room = KEEP_LIMIT

    @property
    def counts(self) -> dict[tuple[LayerName, int], Count]:
        """Records by layer and type, in the order of first occurrence."""
        return {
            (layer, type_): Count(layer, total.name, type_, total.records, total.bytes)
            for (layer, type_), total in self._sums.items()
        }

    def all(self, layer: LayerName, type_: int) -> list[BufferedRecord]:
        """Returns the kept records of a type, in order."""
        return self.buffered.get((layer, type_), [])

    @property
    def last_context(self) -> BufferedRecord | None:
        """The HVM context: the input itself, or the stream's last; None where there is none."""
        return self.context or next(reversed(self.all(LIBXC, libxc.HVM_CONTEXT)), None)

    def add(self, event: Event) -> None:
        """Takes in one event."""
        if event.kind == RECORD:
            self._record(event)
        elif event.kind == HEADER_KIND:
            if event.header is not None:
                self.headers[event.label] = event.header
                self._layer(event, event.header)
            self._describe(event)
        elif event.kind == CONTEXT:
            self.context = self._keep(event, event.length)
        elif event.kind == TRAILER:
            self.trailing = self.trailing or bytes(event.prefix(_TRAILING))
            self.trailer += event.length

    def _layer(self, event: Event, header: Header) -> None:
        if header.begins and not event.made:
            version = "" if header.version is None else f" v{header.version}"
            self.layers.append(f"{header.begins}{version}")

    def _describe(self, event: Event) -> None:
        known = format_named(event.layer)
        if known.describes(event):
            self.config = self._take(event, event.length)
            self.description = known.describe(self.config)

    def take(self, event: Event) -> None:
        """Takes in one event, and how far the input was read."""
        if not event.made:
            self.unread += event.offset - self.size
        self.add(event)
        self.size = max(self.size, event.end)

    def _record(self, event: Event) -> None:
        key = (event.layer, event.type)
        total = self._sums.get(key)
        if total is None:
            self._take(event, 0)
            total = self._sums[key] = _Sum(event.name)
            self.firsts[key] = event.offset
        number = total.records
        total.records += event.records
        total.bytes += event.length * event.records
        if event.records > 1:
            self._run(cast("PageRun", event), number)
        elif key == (LIBXC, libxc.PAGE_DATA):
            self._pages(event, number)
        elif key == (LIBXC, libxc.CHECKPOINT):
            self.checkpoints += 1
        elif event.length:
            self._renew(key)
            state = event.type == format_named(event.layer).device_model
            record = self._keep(event, min(event.length, STATE_LIMIT if state else event.length))
            self.buffered.setdefault(key, []).append(record)
            self._describe(event)

    def _pages(self, event: Event, number: int) -> None:
        """Counts frames, and notices where their numbers go down: then some come again.

        `_behind` is where a record ends if it has no gap, -1 where it is one that is looked at.
        """
        count = int.from_bytes(event.prefix(4), "little")
        self.frames += count
        if self.resent or not 0 < count <= min(BATCH_LIMIT, (event.length - 8) // 8):
            return
        numbers = event.prefix(8 + 8 * count)
        first = int.from_bytes(numbers[8:16], "little") & PFN_MASK
        last = int.from_bytes(numbers[-8:], "little") & PFN_MASK
        self.resent = first <= self._last_pfn and first != self._behind
        self._last_pfn = last
        self._behind = first + count if number % SAMPLED else -1

    def _run(self, run: "PageRun", number: int) -> None:
        """Counts the frames of a run of records, as `_pages` does of each.

        The last frame of a record is read where the next does not begin right behind its count.
        """
        count = run.count
        self.frames += count * run.records
        if self.resent or count > BATCH_LIMIT:
            return
        firsts = _frames(run.firsts())
        end = run.records - 1
        looked = set(range(-number % SAMPLED, end, SAMPLED))
        if firsts != list(range(firsts[0], firsts[0] + count * run.records, count)):
            looked.update(n for n in range(end) if firsts[n + 1] - firsts[n] != count)
        *lasts, last = _frames(run.lasts([*looked, end]))
        self.resent = (firsts[0] <= self._last_pfn and firsts[0] != self._behind) or any(
            firsts[n + 1] <= last for n, last in zip(looked, lasts, strict=True)
        )
        self._last_pfn = last
        self._behind = firsts[-1] + count if (number + end) % SAMPLED else -1

    def _renew(self, key: tuple[LayerName, int]) -> None:
        """Drops what an earlier checkpoint had of this type."""
        if self._epochs.get(key, self.checkpoints) != self.checkpoints:
            for old in self.buffered.pop(key, []):
                self._room += len(old.body) + _OVERHEAD
        self._epochs[key] = self.checkpoints

    def _keep(self, event: Event, length: int) -> BufferedRecord:
        body = self._take(event, length)
        return BufferedRecord(
            event.layer,
            event.name,
            event.type,
            event.offset,
            event.body_offset,
            event.length,
            body,
        )

    def _take(self, event: Event, length: int) -> bytes:
        self._room -= length + _OVERHEAD
        if self._room < 0:
            raise LimitExceeded(
                f"records other than pages take more than {KEEP_LIMIT} bytes",
                offset=event.offset,
                record=event.label,
            )
        return bytes(event.prefix(length))


def _frames(words: list[int]) -> list[int]:
    """Returns the frames of words that may have page types above them."""
    return words if max(words) <= PFN_MASK else [word & PFN_MASK for word in words]


def _events(source: Source, *, glance: bool, apart: bool) -> Iterator[Event]:
    if not format_of(source).pages:
        return walk(source)
    # A bare context has no pages to pass over.
    from xensave.container.runs import walk_in_runs
    from xensave.image.glance import glance as glance_at

    if glance:
        return glance_at(source)
    return walk(source) if apart else walk_in_runs(source, listed="first")


def tally(
    source: Source, each: Callable[[Event], None] | None = None, *, glance: bool = False
) -> Tally:
    """Walks a source as far as it can be followed; `each` sees every event after it was counted.

    So what is kept of a body is read before anyone passes over it to its padding.

    With `glance` the page records behind the first are passed over where that is safe (see
    `xensave.image.glance`).

    What ends the walk early, such as a limit that is exceeded, is `stop` of the result. Raises
    SourceError and UsageError.
    """
    counted = Tally()
    try:
        for event in _events(source, glance=glance, apart=each is not None):
            try:
                counted.take(event)
            finally:
                # A body that is cut or too long to keep has a header that was read.
                if each is not None:
                    each(event)
    except (SourceError, UsageError):
        raise
    except XensaveError as error:
        counted.stop = error
    return counted
