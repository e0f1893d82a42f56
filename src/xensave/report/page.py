"""What a page says, as values; the templates lay it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple, TypeVar

from xensave.catalogue.errnos import MaybeErrno
from xensave.toolstack.releases.matrix import Outcome

T = TypeVar("T")

ROWS_LIMIT = 2048
"""Rows of a table of a guest: an HVM context of 128 vCPUs has 1,300 records."""


class PageFact(NamedTuple):
    """A line of a list of facts."""

    label: str
    text: str


class PageTable(NamedTuple):
    """A table: `right` are the columns of figures, `code` those of names and numbers.

    `note` stands below it.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    code: tuple[int, ...] = ()
    note: str = ""

    @property
    def looks(self) -> tuple[str, ...]:
        """The class of the cells in each column.

        >>> PageTable("", ("name", "bytes"), (), right=(1,), code=(0,)).looks
        (' code', 'right')
        """
        return tuple(
            ("right" if column in self.right else "") + (" code" if column in self.code else "")
            for column in range(len(self.head))
        )


def listed(
    table: PageTable, entries: Iterable[T], row: Callable[[T], tuple[str, ...]]
) -> PageTable:
    """Returns a table with a row for each entry; of more than ROWS_LIMIT the first.

    What is left out is counted in the note, and no row is made of it.

    >>> many = listed(PageTable("", ("number",), ()), range(ROWS_LIMIT + 1), lambda n: (str(n),))
    >>> len(many.rows), many.note
    (2048, '1 more is left out.')
    """
    left = iter(entries)
    rows = tuple(map(row, islice(left, ROWS_LIMIT)))
    more = sum(1 for _ in left)
    if not more:
        return table._replace(rows=rows)
    note = f"{more:,} more {'is' if more == 1 else 'are'} left out. {table.note}".rstrip()
    return table._replace(rows=rows, note=note)


def filled(*tables: PageTable) -> tuple[PageTable, ...]:
    """Returns the tables that have rows."""
    return tuple(table for table in tables if table.rows)


class BarSegment(NamedTuple):
    """A piece of a bar: from `start`, `width` wide (of 1,000), in one of the chart's colours."""

    start: float
    width: float
    colour: int
    text: str


class Legend(NamedTuple):
    """What a colour of a chart means."""

    colour: int
    text: str


class Bar(NamedTuple):
    """A bar of segments with its caption, and the legend of its colours."""

    caption: str
    segments: tuple[BarSegment, ...]
    legend: tuple[Legend, ...]


class ReleaseAnswer(NamedTuple):
    """What a release makes of a guest: the outcome in a word, its class, and the reasons."""

    release: str
    outcome: Outcome
    place: str
    errno: MaybeErrno
    reasons: tuple[str, ...]
    cite: str = ""


class Block(NamedTuple):
    """Something that can be opened: a vCPU's registers, a leaf's features."""

    title: str
    tables: tuple[PageTable, ...]
    open: bool = False


class RegisterFeatures(NamedTuple):
    """The features of a CPUID register, by name."""

    register: str
    names: tuple[str, ...]


class GuestPage(NamedTuple):
    """A saved guest.

    `wrong` says why the image could not be followed to its end, `troubles` why parts of it could
    not be read.
    """

    anchor: str
    title: str
    path: str
    findings: PageTable
    full: bool
    facts: tuple[PageFact, ...] = ()
    answers: tuple[ReleaseAnswer, ...] = ()
    assumes: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    records: tuple[PageTable, ...] = ()
    memory: tuple[PageTable, ...] = ()
    memory_facts: tuple[PageFact, ...] = ()
    memory_bars: tuple[Bar, ...] = ()
    vcpus: tuple[Block, ...] = ()
    features: tuple[RegisterFeatures, ...] = ()
    policy: tuple[PageTable, ...] = ()
    settings: tuple[PageTable, ...] = ()
    emulator: tuple[PageTable, ...] = ()
    wrong: str = ""
    troubles: tuple[str, ...] = ()
