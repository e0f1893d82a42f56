"""Workers on this machine: processes, each handed a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context

from xensave.fleet.row import error_row, rows_of
from xensave.fleet.scan import Question
from xensave.fleet.schema import Row
from xensave.source.addresses import Entry

KILLED = "its reading killed the worker, twice"


class ProcessPool:
    """So many processes; an image whose reading kills one twice becomes a row that says so."""

    def __init__(self, question: Question, jobs: int | None = None) -> None:
        self._question = question
        self._jobs = jobs or len(os.sched_getaffinity(0))

    def rows(self, batches: Iterator[Sequence[Entry]]) -> Iterator[list[Row]]:
        """Yield each batch's rows as they are done."""
        if self._jobs == 1:
            yield from (rows_of(batch, self._question) for batch in batches)
            return
        lost: list[Sequence[Entry]] = []
        while True:
            yield from self._run(batches, lost)
            if not lost:
                return
            # One of these killed a worker: each again, alone, to find which.
            alone = [(entry,) for batch in lost for entry in batch]
            lost = []
            for single in alone:
                yield self._alone(single)

    def _run(
        self, batches: Iterator[Sequence[Entry]], lost: list[Sequence[Entry]]
    ) -> Iterator[list[Row]]:
        running: dict[Future[list[Row]], Sequence[Entry]] = {}
        with self._executor(self._jobs) as pool:
            try:
                for batch in islice(batches, 2 * self._jobs):
                    running[pool.submit(rows_of, batch, self._question)] = batch
                while running:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        rows = future.result()
                        del running[future]
                        yield rows
                        for batch in islice(batches, 1):
                            running[pool.submit(rows_of, batch, self._question)] = batch
            except BrokenProcessPool:
                lost.extend(running.values())
            except (KeyboardInterrupt, GeneratorExit):
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _alone(self, batch: Sequence[Entry]) -> list[Row]:
        with self._executor(1) as pool:
            try:
                return pool.submit(rows_of, batch, self._question).result()
            except BrokenProcessPool:
                return [error_row(entry, KILLED) for entry in batch]

    def _executor(self, jobs: int) -> ProcessPoolExecutor:
        # Not forked: threads of a store's library would not survive that.
        return ProcessPoolExecutor(jobs, mp_context=get_context("forkserver"))
