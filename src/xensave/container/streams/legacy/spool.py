"""Records that wait until it is known whether they count: in memory, or in an unnamed file."""

from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Self

from xensave.container.events import Event
from xensave.container.made import MadeEvent
from xensave.source import Source

IN_MEMORY = 8 << 20
"""So many bytes wait in memory; more go to a file that has no name."""


class Spool:
    """Takes made records, and gives them back in order."""

    def __init__(self, source: Source) -> None:
        import tempfile

        self._source = source
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._waiting: list[tuple[int, Callable[..., MadeEvent]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, made: list[Event]) -> list[Event]:
        """Takes records; returns what can be passed on at once, which is nothing."""
        for event in made:
            self._file.write(event.body())
            again = partial(
                MadeEvent, self._source, event.layer, event.kind, event.name, type_=event.type,
                offset=event.offset, end=event.end, body_at=event.body_offset,
            )  # fmt: skip
            self._waiting.append((event.length, again))
        return []

    def empty(self) -> Iterator[Event]:
        """Yields what waits, and takes it out."""
        self._file.seek(0)
        for length, again in self._waiting:
            yield again(front=self._file.read(length))
        self._waiting = []
        self._file.seek(0)
        self._file.truncate()
