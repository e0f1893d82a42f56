"""Workers on this machine: processes, each handed a batch at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread

from xensave.errors import SourceError
from xensave.fleet.row import error_row, rows_of
from xensave.fleet.scan import Question
from xensave.fleet.schema import Row
from xensave.fleet.serial import SerialPool
from xensave.source.remote.addresses import StoreObject


class NoWorkers(SourceError):
    """The system has no room for the processes or threads that a pool takes."""


KILLED = "its reading killed the worker, twice"


class ProcessPool:
    """So many processes; an image whose reading kills one twice becomes a row that says so."""

    def __init__(self, question: Question, jobs: int | None = None) -> None:
        self._question = question
        self._jobs = jobs or len(os.sched_getaffinity(0))

    def rows(self, batches: Iterator[Sequence[StoreObject]]) -> Iterator[list[Row]]:
        """Yields each batch's rows as they are done."""
        if self._jobs == 1:
            yield from SerialPool(self._question).rows(batches)
            return
        lost: list[Sequence[StoreObject]] = []
        while True:
            yield from self._run(batches, lost)
            if not lost:
                return
            # One of these killed a worker: each again, alone, to find which.
            yield from self._one_by_one([entry for batch in lost for entry in batch])
            lost.clear()

    def _run(
        self, batches: Iterator[Sequence[StoreObject]], lost: list[Sequence[StoreObject]]
    ) -> Iterator[list[Row]]:
        """Yields rows until all is done or a worker dies; `lost` are the batches that were open."""
        running: dict[Future[list[Row]], Sequence[StoreObject]] = {}
        with self._executor(self._jobs) as pool:
            try:
                for batch in islice(batches, 2 * self._jobs):
                    running[self._submit(pool, batch, lost)] = batch
                while running:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        rows = future.result()
                        del running[future]
                        yield rows
                        for batch in islice(batches, 1):
                            running[self._submit(pool, batch, lost)] = batch
            except BrokenProcessPool:
                lost.extend(running.values())
            except (KeyboardInterrupt, GeneratorExit):
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _submit(
        self,
        pool: ProcessPoolExecutor,
        batch: Sequence[StoreObject],
        lost: list[Sequence[StoreObject]],
    ) -> Future[list[Row]]:
        try:
            return pool.submit(rows_of, batch, self._question)
        except BrokenProcessPool:
            lost.append(batch)
            raise
        except (OSError, RuntimeError) as error:
            reason = f"no workers could be started ({error}); --jobs 1 needs none"
            raise NoWorkers(reason) from error

    def _one_by_one(self, entries: list[StoreObject]) -> Iterator[list[Row]]:
        """Yields a row for each image; one that kills the worker again is an error."""
        todo = deque(entries)
        while todo:
            with self._executor(1) as pool:
                try:
                    while todo:
                        rows = pool.submit(rows_of, (todo[0],), self._question).result()
                        todo.popleft()
                        yield rows
                except BrokenProcessPool:
                    yield [error_row(todo.popleft(), KILLED)]

    @contextmanager
    def _executor(self, jobs: int) -> Iterator[ProcessPoolExecutor]:
        # Not forked: threads of a store's library would not survive that.
        pool = ProcessPoolExecutor(
            jobs, mp_context=get_context("forkserver"), initializer=_end_with_parent
        )
        end: Callable[[], None] = pool.shutdown
        try:
            yield pool
        except NoWorkers:
            # shutdown() would wait for a thread that is not there, and for workers without one.
            end = _kill_workers
            raise
        finally:
            end()


def _kill_workers() -> None:
    for worker in active_children():
        worker.kill()


def _end_with_parent() -> None:
    """Ends this worker when the scan is killed: it would wait for the next batch without end."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
