"""What one source claims of the number space: records, and ranges kept for an owner."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from xensave.catalogue.model import Layout

XEN = "Xen"
# Upstream gives its numbers from 0 up; with an upper byte a number is a downstream's (review of
# "x86/save: reserve HVM save record numbers that have been consumed...", December 2019).
UPSTREAM_LAST = 0xFF


class ClaimedRecord(NamedTuple):
    """A number in use. `name` and `size` are None where the source does not say.

    `owner` is XEN for a record of upstream's, a registry's owner, or "" for a tree's own. `size` is
    that of one record of a fixed length; `place` is where it is said ("save.h:609").
    """

    number: int
    name: str | None
    size: int | None
    owner: str
    layout: Layout | None = None
    kind: str | None = None
    place: str = ""

    @property
    def title(self) -> str:
        """Its name, or that it has none."""
        return self.name or "an unnamed record"


class ClaimedRange(NamedTuple):
    """Numbers `first` to `last` kept for an owner."""

    first: int
    last: int
    owner: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} - {self.last}"


class Claims(NamedTuple):
    """All that a source claims. `upstream` says that it is a release of Xen itself."""

    source: str
    records: tuple[ClaimedRecord, ...]
    ranges: tuple[ClaimedRange, ...]
    upstream: bool = False
    code_max: int | None = None


class Ranges:
    """Ranges of one source, to be asked which of them touch others.

    >>> held = Ranges([ClaimedRange(22, 34, "Amazon"), ClaimedRange(64, 64, "Acme")])
    >>> [str(found) for found in held.touching(30, 70)]
    ['22 - 34', '64']
    """

    def __init__(self, ranges: Iterable[ClaimedRange]) -> None:
        self._ranges = sorted(ranges)
        # The furthest end so far: no range before the first that reaches a number touches it.
        self._ends = list(accumulate((held.last for held in self._ranges), max))

    def touching(self, first: int, last: int) -> Iterator[ClaimedRange]:
        """The ranges that share a number with first - last, in order."""
        for at in range(bisect_left(self._ends, first), len(self._ranges)):
            held = self._ranges[at]
            if held.first > last:
                return
            if held.last >= first:
                yield held
