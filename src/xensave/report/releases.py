"""Gather what a page says of Xen's releases: numbers, layouts, who restores whom, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.catalogue import MASTER, record_names, release_names
from xensave.catalogue.dates import Dated
from xensave.catalogue.owned import span
from xensave.engine.domain import HVM, PVH, DomainType
from xensave.engine.handlers import table
from xensave.engine.loop.body import Body
from xensave.engine.loop.rule import HandlerRule
from xensave.numbers.history import Version, history, names_over_time
from xensave.numbers.space import USED, NumberRow, folded, rows
from xensave.report.answers import answer_of
from xensave.report.charts import bar
from xensave.report.page import Bar, PageTable, ReleaseAnswer
from xensave.toolstack.releases.matrix import release_matrix
from xensave.toolstack.restore import RULES

_NO_LAYOUT = "not saved"


class MatrixRow(NamedTuple):
    """A row of a matrix: `anchor` is the part of the page that it leads to, "" for none."""

    label: str
    anchor: str
    cells: tuple[ReleaseAnswer, ...]


class ReleaseMatrix(NamedTuple):
    """Who restores whose guest."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


class RecordHistory(NamedTuple):
    """A record's layouts over the releases: drawn, and with what changed and where that is from."""

    name: str
    bar: Bar | None
    layouts: PageTable


class ReleasesPage(NamedTuple):
    """What a page says of the releases."""

    space: PageTable
    records: tuple[RecordHistory, ...]
    matrices: tuple[ReleaseMatrix, ...]
    differences: PageTable


def releases_page() -> ReleasesPage:
    """Returns the page.

    >>> page = releases_page()
    >>> page.space.rows[2][:4]
    ('2', 'CPU', '1,032', 'Xen')
    """
    return ReleasesPage(
        space=_space(),
        records=tuple(_record(name) for name in record_names()),
        matrices=tuple(_matrix(kind) for kind in (HVM, PVH)),
        differences=_differences(),
    )


def _space() -> PageTable:
    result = tuple(_number(last, row) for last, row in folded(rows(MASTER)))
    head = ("number", "record", "bytes", "owner", "state", "names over time")
    return PageTable("", head, result, (0, 2), (1,))


def _number(last: int, row: NumberRow) -> tuple[str, ...]:
    numbers = span(row.number, last)
    names = names_over_time(row.number)
    over_time = ", ".join(f"{name} {first} to {end}" for name, first, end in names)
    size = "" if row.size is None else f"{row.size:,}" + (" and more" if row.flexible else "")
    note = row.note if row.state != USED or row.flexible else ""
    return (numbers, row.name or "", size, row.owner or "", row.state, over_time or note)


def _record(name: str) -> RecordHistory:
    versions = history(name)
    saved = {each: version.layout for version in versions for each in version.releases}
    pieces = []
    for each in release_names():
        layout = saved.get(each)
        kind = _NO_LAYOUT if layout is None else f"{layout.id}, {layout.size} bytes"
        pieces.append((kind, f"{each}: {kind}", 1))
    caption = f"{name}: the layout that each release saves, {release_names()[0]} to {MASTER}"
    head = ("layout", "bytes", "saved by", "what changed", "commit")
    layouts = PageTable("", head, tuple(map(_layout, versions)), (1,), (0,))
    return RecordHistory(name, bar(caption, pieces), layouts)


def _layout(version: Version) -> tuple[str, ...]:
    layout = version.layout
    saved = version.releases
    when = f"{saved[0]} to {saved[-1]}" if saved else ""
    if not saved and version.converted_by:
        first, last = version.converted_by[0], version.converted_by[-1]
        when = f"none; converted on load by {first} to {last}"
    cited = layout.introduced
    return (
        layout.id,
        f"{layout.size:,}",
        when or "point releases alone",
        "; ".join(map(str, version.changes)),
        f'{cited.commit} "{cited.subject}"' if cited else "",
    )


def _matrix(kind: DomainType) -> ReleaseMatrix:
    result = release_matrix(kind)
    matrix_rows = tuple(
        MatrixRow(row.label, "", tuple(map(answer_of, result.columns, row.verdicts)))
        for row in result.rows
    )
    title = f"A typical {kind.upper()} guest of the row's release on the column's"
    return ReleaseMatrix(title, result.columns, matrix_rows)


def _differences() -> PageTable:
    head = ("rule", "record", "in force", "errno", "what", "where in Xen")
    return PageTable("", head, tuple(_difference_rows()), (), (0, 1, 3))


def _difference_rows() -> Iterator[tuple[str, ...]]:
    dated: tuple[Dated | HandlerRule[Body], ...] = (*table.DATED, *table.RULES)
    for rule in dated:
        yield (
            rule.id,
            rule.record or "any",
            _span(rule.since, rule.until),
            rule.errno if isinstance(rule, HandlerRule) else "",
            rule.sentence,
            str(rule.cite),
        )
    for row in RULES:
        yield (row.id, row.record, _span(row.since, row.until), row.errno, row.says, str(row.cite))


def _span(since: tuple[str, ...], until: tuple[str, ...]) -> str:
    first = f"from {', '.join(since)}" if since else "always"
    return f"{first}, until {', '.join(until)}" if until else first
