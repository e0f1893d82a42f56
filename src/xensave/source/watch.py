"""Who wants to know which input is being read, and how far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from xensave.source.base import Source

_Thing = TypeVar("_Thing")


class Copied:
    """What was copied so far, for work whose input is not read in order."""

    def __init__(self, name: str, size: int | None = None) -> None:
        self.name = name
        self.offset = 0
        self.size = size
        self.beneath: Source | None = None

    def add(self, count: int) -> None:
        """Counts bytes."""
        self.offset += count


class Counted(Copied):
    """How many of some things are done, images for one, in place of bytes."""


def counted(things: Sequence[_Thing], name: str) -> Iterator[_Thing]:
    """Yields things, and let the watchers know how many of them are done."""
    count = Counted(name, len(things))
    announce(count)
    for thing in things:
        yield thing
        count.add(1)


Reading = Source | Copied
Watcher = Callable[[Reading], None]

_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Lets `watcher` have every source that is opened inside the block, and what is copied.

    Its `offset` may be read at any time, from another thread too: reading pays nothing for it.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def announce(reading: Reading) -> None:
    """Tells the watchers of a source, or of what is copied."""
    for watcher in _watchers:
        watcher(reading)
