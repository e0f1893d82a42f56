"""Work on mapped files beside the thread that finds it: the kernel and numpy leave Python alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from xensave.source.memory import MemorySource

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_WAITING = 3
"""Jobs that were made and are not yet done."""

_NEAR = 1 << 16
"""What lies between the pages of two records is less: a head, and its frames' numbers."""

_RECORD = 1 << 24
"""A record as Xen writes it is shorter; where its pages are a hole, nothing of it is mapped."""


def in_threads(
    jobs: Iterable[_Job], act: Callable[[_Job], _Result], threads: int
) -> Iterator[_Result]:
    """Yields what `act` returns for each job, in order; few jobs are made ahead of the threads.

    >>> list(in_threads(range(4), lambda job: job * job, 2))
    [0, 1, 4, 9]
    """
    waiting: deque[Future[_Result]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        stack.callback(pool.shutdown, cancel_futures=True)
        for job in jobs:
            waiting.append(pool.submit(act, job))
            if len(waiting) > _WAITING:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def fetch(source: MemorySource, ranges: Iterable[tuple[int, int]]) -> None:
    """Has the disk read ranges that are looked at next."""
    for offset, size in joined(ranges):
        source.soon(offset, size)


def let_go(source: MemorySource, ranges: Iterable[tuple[int, int]]) -> None:
    """Lets go of what is mapped of ranges; those near each other at once.

    To unmap costs an interrupt of every processor.
    """
    for offset, size in joined(ranges, _RECORD):
        source.let_go(offset, size)


def joined(ranges: Iterable[tuple[int, int]], near: int = _NEAR) -> Iterator[tuple[int, int]]:
    """Yields ranges (offset and length), those at most `near` bytes behind each other as one.

    >>> list(joined([(0, 10), (20, 10), (1 << 20, 5), (3, 4)]))
    [(0, 30), (1048576, 5), (3, 4)]
    """
    begin = end = -1
    for offset, size in ranges:
        if begin < 0 or not 0 <= offset - end <= near:
            if begin >= 0:
                yield begin, end - begin
            begin = offset
        end = offset + size
    if begin >= 0:
        yield begin, end - begin
