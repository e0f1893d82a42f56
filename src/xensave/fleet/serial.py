"""No workers: the images are looked at here, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xensave.fleet.row import rows_of
from xensave.fleet.scan import Question
from xensave.fleet.schema import Row
from xensave.source.remote.addresses import StoreObject


class SerialPool:
    """One process, this one; what starts others is not imported for it."""

    def __init__(self, question: Question) -> None:
        self._question = question

    def rows(self, batches: Iterator[Sequence[StoreObject]]) -> Iterator[list[Row]]:
        """Yields each batch's rows as they are done."""
        for batch in batches:
            yield rows_of(batch, self._question)
