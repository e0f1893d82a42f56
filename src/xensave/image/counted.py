"""An image as a stretch of records: opened lazily, walked as often as asked, counted once."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.image.facts.guest import GuestFacts
from xensave.image.opening import OpenInput, open_input
from xensave.image.tally import Count, Tally, tally
from xensave.source import Input, MemorySource, Source

if TYPE_CHECKING:
    from xensave.findings import Finding
    from xensave.image.facts.pages import PageFacts


class CountedImage:
    """An open input, the walks over it, and what one of them counts; `Image` knows the guest.

    Its arguments are those of `Image`.
    """

    def __init__(
        self,
        what: Input,
        *,
        max_size: int | None = None,
        glance: bool = False,
        format: str | None = None,
        source: Source | None = None,
    ) -> None:
        self._glance = glance
        if source is None:
            source = open_input(what, max_size=max_size, format=format)
        self._input = OpenInput(source, format)
        self._tally: Tally | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self._input.source.name_in(error)
        self.close()

    def close(self) -> None:
        """Closes the input; what was read stays."""
        self._input.close()

    def __repr__(self) -> str:
        return f"<Image {self.name!r}>"

    @property
    def name(self) -> str:
        """The input's name: its path, or "<stdin>"."""
        return self._input.source.name

    @property
    def mapped(self) -> bool:
        """Whether the input lies in memory, as a mapped file does: any place is read at no cost."""
        return isinstance(self._input.source, MemorySource)

    @property
    def tally(self) -> Tally:
        """What the pass over the image found."""
        if self._tally is None:
            self._tally = tally(self._input.again(), glance=self._glance)
        if self._tally.stop is not None:
            raise self._tally.stop
        return self._tally

    def events(self) -> Iterator[Event]:
        """Walks the image again, record by record, pages included.

        Walks and questions do not disturb each other. Raises UsageError for a pipe that was read
        already, and after `close`.
        """
        source = self._input.again()
        yield from walk(source)

    def read_events(self) -> Iterator[Event]:
        """Walks the image as `events` does; what the pass finds answers later questions.

        So a pipe is read once for both, if the walk goes to its end.
        """
        so_far = Tally()
        for event in walk(self._input.again()):
            yield event
            so_far.take(event)
        self._tally = so_far

    def glance(self) -> Iterator[Event]:
        """Goes through the image again; page records are passed over where that is safe.

        Raises UsageError for a pipe that was read already.
        """
        from xensave.image.glance import glance

        yield from glance(self._input.again())

    @property
    def size(self) -> int:
        """The bytes of the image, decompressed."""
        return self.tally.size

    @property
    def containers(self) -> tuple[str, ...]:
        """The layers from the outside in, with their versions: ("xl", "libxl v2", "libxc v3")."""
        layers = list(dict.fromkeys(self.tally.layers))
        if self.tally.last_context is not None:
            layers.append("HVM context")
        return tuple(layers)

    @property
    def counts(self) -> tuple[Count, ...]:
        """Records by layer and type, in the order of first occurrence."""
        return tuple(self.tally.counts.values())

    @property
    def frames(self) -> int:
        """How many page frame numbers the image lists, with or without contents."""
        return self.tally.frames

    @property
    def pages(self) -> int:
        """How many pages have contents; more than the guest has if some were sent twice."""
        count = self.tally.counts.get((LIBXC, libxc.PAGE_DATA))
        if count is None:
            return 0
        contents = count.bytes - 8 * count.records - 8 * self.frames
        return max(0, contents) // libxc.PAGE_SIZE

    @property
    def unread(self) -> int:
        """The bytes of page records that a glance passed over; 0 after a walk."""
        return self.tally.unread


def facts_of(
    tally: Tally,
    name: str,
    release: str | None = None,
    *,
    broken: tuple[Finding, ...] | None = None,
    pages: PageFacts | None = None,
) -> GuestFacts:
    """Returns what a pass over an image found, as facts of the guest.

    `release` is the release that the caller names; else it is the one that saved the image. What
    cannot be read of a record is left out: the rules say what is wrong with it.
    """
    context = tally.last_context
    facts = GuestFacts(
        name=name,
        release=release,
        layers=tuple(dict.fromkeys(tally.layers)),
        counts=tuple(tally.counts.values()),
        firsts=MappingProxyType(dict(tally.firsts)),
        context=context.body if context is not None else None,
        size=tally.size,
        pages=pages,
        unread=tally.unread,
        broken=broken,
        stop=tally.stop,
    )
    if not tally.headers and not tally.counts:
        return facts
    # A bare context has nothing of a stream.
    from xensave.image.facts.stream import with_stream

    return with_stream(facts, tally)
