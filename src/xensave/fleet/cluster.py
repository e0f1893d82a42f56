"""Workers of a Dask cluster that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol, cast

from xensave.errors import MissingExtra, SourceError
from xensave.fleet.pool import KILLED
from xensave.fleet.row import error_row, rows_of
from xensave.fleet.scan import Question
from xensave.fleet.schema import Row
from xensave.source.remote.addresses import StoreObject

AHEAD = 4
"""How many batches each worker has waiting."""

SILENCE = 10.0
"""The seconds after which a scheduler that does not answer is given up."""


class _Future(Protocol):
    key: str
    status: str

    def result(self) -> list[Row]: ...

    def exception(self) -> BaseException | None: ...


class DaskPool:
    """The workers of a scheduler (`tcp://host:8786`); xensave must be installed on each.

    A batch whose worker dies is done again elsewhere, image by image; an image that kills a
    worker twice becomes a row that says so. Raises SourceError where no scheduler answers.
    """

    def __init__(self, question: Question, scheduler: str) -> None:
        try:
            from distributed import Client
            from distributed.comm import get_address_host_port, normalize_address
        except ImportError as error:
            raise MissingExtra("a Dask cluster", "distributed", "dask") from error
        self._question = question
        try:
            # A client that could not even begin takes 20 seconds and a traceback to end.
            get_address_host_port(normalize_address(scheduler))
            self._client = Client(scheduler, timeout=SILENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SourceError(f"{scheduler}: no Dask scheduler answers: {error}") from error

    def rows(self, batches: Iterator[Sequence[StoreObject]]) -> Iterator[list[Row]]:
        """Yields each batch's rows as they are done."""
        from distributed import as_completed

        waiting: dict[str, Sequence[StoreObject]] = {}
        room = AHEAD * max(1, len(self._client.scheduler_info()["workers"]))
        done = as_completed(loop=self._client.loop)
        for batch in islice(batches, room):
            done.add(self._submit(batch, waiting))
        for future in done:
            batch = waiting.pop(future.key)
            if future.status == "finished":
                yield cast("_Future", future).result()
                again: list[Sequence[StoreObject]] = list(islice(batches, 1))
            elif len(batch) > 1:
                again = [(entry,) for entry in batch]
            else:
                yield [error_row(entry, _reason(future)) for entry in batch]
                again = list(islice(batches, 1))
            for each in again:
                done.add(self._submit(each, waiting))

    def close(self) -> None:
        """Lets go of the scheduler; the cluster goes on."""
        self._client.close()

    def _submit(
        self, batch: Sequence[StoreObject], waiting: dict[str, Sequence[StoreObject]]
    ) -> _Future:
        # The scheduler gives a dead worker's batch to others, a few times, before it gives it up.
        future = cast(
            "_Future", self._client.submit(rows_of, list(batch), self._question, pure=False)
        )
        waiting[future.key] = batch
        return future


def _reason(future: _Future) -> str:
    error = future.exception()
    return KILLED if type(error).__name__ == "KilledWorker" else f"{type(error).__name__}: {error}"
