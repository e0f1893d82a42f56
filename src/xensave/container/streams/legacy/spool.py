"""Records that wait until it is known whether they count: in memory, or in an unnamed file."""

from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from xensave.container.events import Event, Kind
from xensave.container.made import MadeEvent
from xensave.source import Source

IN_MEMORY = 8 << 20
"""So many bytes wait in memory; more go to a file that has no name."""


class _Waiting(NamedTuple):
    layer: str
    kind: Kind
    name: str
    type: int
    offset: int
    end: int
    body_offset: int
    length: int


class Spool:
    """Takes made records, and gives them back in order."""

    def __init__(self, source: Source) -> None:
        import tempfile

        self._source = source
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._waiting: list[_Waiting] = []

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
            self._waiting.append(
                _Waiting(
                    event.layer,
                    event.kind,
                    event.name,
                    event.type,
                    event.offset,
                    event.end,
                    event.body_offset,
                    event.length,
                )
            )
        return []

    def empty(self) -> Iterator[Event]:
        """Yields what waits, and takes it out."""
        self._file.seek(0)
        for each in self._waiting:
            yield MadeEvent(
                self._source, each.layer, each.kind, each.name, type_=each.type,
                offset=each.offset, end=each.end, body_at=each.body_offset,
                front=self._file.read(each.length),
            )  # fmt: skip
        self._waiting = []
        self._file.seek(0)
        self._file.truncate()
