"""Questions to a fleet's table, by DuckDB: ready ones by name, and free SQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

from xensave.errors import MissingExtra, SourceError, UsageError
from xensave.fleet.parts import faults, files_of, first_line, opened
from xensave.fleet.size import TableSize, table_size
from xensave.records.meaning.cpu.features import places
from xensave.source.inputs import reading
from xensave.source.limits import EXPANSION_FLOOR

if TYPE_CHECKING:
    import duckdb
    import pyarrow

Value = object

MEMORY_FLOOR = 1 << 30
"""Bytes of memory that DuckDB may always take, and beyond it four times the table's length."""

_CHUNK = 2048
"""The most rows of an answer that are taken at once, as many as DuckDB makes at once."""


class QueryResult(NamedTuple):
    """A question's answer: the names of its columns, and its rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]


class ReadyQuestion(NamedTuple):
    """A ready question: its name, what it asks, its SQL with a place for the one argument."""

    name: str
    text: str
    sql: str
    argument: str | None = None


QUESTIONS = (
    ReadyQuestion(
        "refused-on",
        "the images that a release refuses, and why",
        "SELECT address, guest, v.record, v.errno, v.rule, v.why FROM fleet, "
        "UNNEST(verdicts) AS t(v) WHERE v.target = ? AND v.accepted = false ORDER BY address",
        "RELEASE",
    ),
    ReadyQuestion(
        "by-reason",
        "how many images each rule refuses, by target",
        "SELECT v.target, v.rule, v.errno, count(*) AS images, min(address) AS example, "
        "min(v.why) AS why FROM fleet, UNNEST(verdicts) AS t(v) WHERE v.accepted = false "
        "GROUP BY ALL ORDER BY images DESC, v.target, v.rule",
    ),
    ReadyQuestion(
        "needs-feature",
        "the images whose CPU policy has a feature",
        "SELECT address, guest, type, xen FROM fleet "
        "WHERE list_contains(features, lower(?)) ORDER BY address",
        "FEATURE",
    ),
    ReadyQuestion(
        "not-convertible",
        "the images that are refused and cannot be converted",
        "SELECT address, guest, v.target, v.rule, v.why FROM fleet, UNNEST(verdicts) AS t(v) "
        "WHERE v.accepted = false AND v.convertible = false ORDER BY address, v.target",
    ),
    ReadyQuestion(
        "errors",
        "the images that could not be read",
        "SELECT address, error FROM fleet WHERE error IS NOT NULL ORDER BY address",
    ),
)

_TARGETS = "SELECT DISTINCT v.target FROM fleet, UNNEST(verdicts) AS t(v) ORDER BY 1"


class FleetTable:
    """A fleet's table that is open: measured and read once, whatever is asked of it."""

    def __init__(
        self, name: str, connection: duckdb.DuckDBPyConnection, longest: int, most: int
    ) -> None:
        self.name = name
        self._connection = connection
        self._longest = longest
        self._most = most

    def ask(self, sql: str, arguments: tuple[str, ...] = ()) -> QueryResult:
        """Returns the answer to a question in SQL; the table is called `fleet`.

        Raises UsageError for SQL that DuckDB does not take, SourceError where the answer is longer
        than a scan's.
        """
        with _asking(self.name):
            result = self._connection.execute(sql, list(arguments))
            columns = tuple(entry[0] for entry in result.description or ())
            return QueryResult(columns, list(_rows(self.name, result, self._longest, self._most)))

    @property
    def targets(self) -> list[str]:
        """The targets that it was scanned for."""
        return [str(row[0]) for row in self.ask(_TARGETS).rows]

    def check_target(self, target: str) -> None:
        """Raises UsageError where it was scanned for other targets: it has no answer then."""
        scanned = self.targets
        if scanned and target not in scanned:
            shown = ", ".join(scanned)
            raise UsageError(f"{self.name} was not scanned for {target}, but for {shown}")


@contextmanager
def open_table(table: str, *, unsafe: bool = False) -> Iterator[FleetTable]:
    """Opens a table to ask it more than once; `ask` says what `unsafe` means.

    Raises SourceError where there is no table, or where it is longer than a scan's.
    """
    try:
        import duckdb
        import pyarrow.parquet  # noqa: F401 - better known before DuckDB starts
    except ImportError as error:
        package = (error.name or "duckdb").partition(".")[0]
        raise MissingExtra("asking a table", package, "fleet") from error
    files = files_of(table)
    for path in files:
        reading(path)
    if not files:
        raise SourceError(f"{table}: no such table")
    try:
        size = table_size(files)
        tables = [_read(path) for path in files]
        fleet = tables[0] if len(tables) == 1 else _joined(tables)
    except UnicodeDecodeError as error:
        raise _no_text(table, error) from error
    except faults() as error:
        raise SourceError(f"{table}: is no table of a fleet: {first_line(error)}") from error
    connection = duckdb.connect(":memory:")
    try:
        with _asking(table):
            connection.register("fleet", fleet)
            if not unsafe:
                # No objects of this process by their names, and no files for what memory cannot
                # hold.
                connection.execute("SET python_enable_replacements = false")
                connection.execute("SET temp_directory = ''")
                connection.execute(f"SET memory_limit = '{_memory(size)}B'")
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
        most = sys.maxsize if unsafe else size.limit
        yield FleetTable(table, connection, size.longest, most)
    finally:
        connection.close()


@contextmanager
def _asking(table: str) -> Iterator[None]:
    """Makes errors of this library of those that DuckDB raises."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise UsageError(f"DuckDB: {first_line(error)}") from error
    except UnicodeDecodeError as error:
        # DuckDB tells of a text of the table that is no UTF-8 in that very text.
        raise _no_text(table, error) from error


def ask(
    table: str, sql: str, arguments: tuple[str, ...] = (), *, unsafe: bool = False
) -> QueryResult:
    """Returns the answer to a question in SQL; the table is called `fleet`.

    Only that table can be read: DuckDB's access to files and networks is off and its
    configuration locked, unless `unsafe`; then neither its memory nor the answer has a limit.
    Raises what `open_table` and `FleetTable.ask` raise.
    """
    with open_table(table, unsafe=unsafe) as fleet:
        return fleet.ask(sql, arguments)


def _memory(size: TableSize) -> int:
    """Returns how many bytes DuckDB may take: for what it sorts and joins of a table this long."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 4 // 5
    return min(MEMORY_FLOOR + 4 * size.unfolded, most)


def _rows(
    table: str, result: duckdb.DuckDBPyConnection, longest: int, most: int
) -> Iterator[tuple[Value, ...]]:
    """Yields an answer's rows, few at once where texts are long.

    Raises SourceError where its texts have more characters than `most`: a long one of the table
    may stand in the answer once for each verdict of its row.
    """
    at_once = min(max(EXPANSION_FLOOR // (16 * (longest + 1)), 1), _CHUNK)
    texts = 0
    while rows := cast("list[tuple[Value, ...]]", result.fetchmany(at_once)):
        texts += sum(len(value) for row in rows for value in row if isinstance(value, str))
        if texts > most:
            raise SourceError(f"{table}: the answer is longer than {most:,} characters")
        yield from rows


def _no_text(table: str, error: UnicodeDecodeError) -> SourceError:
    return SourceError(f"{table}: holds a text that is no UTF-8: {error}")


def ask_ready(table: str, name: str, argument: str | None = None) -> QueryResult:
    """Returns the answer to a ready question.

    Raises what `ask` raises, and UsageError where the table cannot know: no question of that name,
    a release that was not scanned for, a feature that has no such name.
    """
    ready = question(name)
    if ready.argument is None or argument is None:
        return ask(table, ready.sql)
    if ready.argument != "RELEASE" and argument.lower() not in places():
        raise UsageError(f"no CPU feature is called {argument!r}")
    with open_table(table) as fleet:
        if ready.argument == "RELEASE":
            fleet.check_target(argument)
        return fleet.ask(ready.sql, (argument,))


def question(name: str) -> ReadyQuestion:
    """Returns a ready question by its name. Raises UsageError."""
    for known in QUESTIONS:
        if known.name == name:
            return known
    raise UsageError(f"no question is called {name!r}")


def _read(path: str) -> pyarrow.Table:
    import pyarrow.parquet as pq

    with opened(path) as file:
        return pq.read_table(file)


def _joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    """Returns old rows and newer parts as one table; the newest row of an address counts."""
    import pyarrow as pa

    newest: dict[str, tuple[float, int, int]] = {}
    for number, table in enumerate(tables):
        addresses = table.column("address").to_pylist()
        times = table.column("scanned").to_pylist()
        for row, (address, time) in enumerate(zip(addresses, times, strict=True)):
            newest[address] = max(newest.get(address, (time, number, row)), (time, number, row))
    chosen: list[list[int]] = [[] for _ in tables]
    for _, number, row in newest.values():
        chosen[number].append(row)
    # Of a file whose rows are all older nothing is taken, and pyarrow wants the type of that.
    places = [pa.array(sorted(rows), pa.int64()) for rows in chosen]
    return pa.concat_tables([table.take(rows) for table, rows in zip(tables, places, strict=True)])
