"""The number space, clashes, advice and costs, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xensave.catalogue.owned import TYPECODE_MAX
from xensave.views.text.colours import painted
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import plural, wrapped

if TYPE_CHECKING:
    from xensave.numbers.clash import Clash
    from xensave.numbers.cost import Cost
    from xensave.numbers.space import NumberRow
    from xensave.numbers.suggest import Advice, Suggestion

Object = dict[str, object]
_PAGE = 0x100
_ROW_KEYS = ("number", "name", "size", "kind", "owner", "state", "layout", "load", "source", "note")


def space_lines(rows: Sequence[NumberRow], width: int) -> Iterator[str]:
    """Yields the number space as a table; runs of numbers that are alike share a line."""
    from xensave.numbers.space import folded

    head = ("number", "name", "size", "kind", "owner", "state", "note")
    cells: list[tuple[str | None, ...]] = []
    due = 0
    for last, row in folded(rows):
        if row.number > due:
            cells.append(_free(due, row.number - 1))
        size = "" if row.size is None else f"{row.size:,}" + ("+" if row.flexible else "")
        numbers = _span(row.number, last)
        cells.append((numbers, row.name, size, row.kind, row.owner, row.state, row.note))
        due = last + 1
    if due <= TYPECODE_MAX:
        cells.append(_free(due, TYPECODE_MAX))
    yield from table_lines(head, cells, width, right=(2,))


def space_objects(rows: Sequence[NumberRow]) -> list[Object]:
    """Returns the number space as objects, one a number."""
    return [{key: getattr(row, key) for key in _ROW_KEYS} for row in rows]


def clash_lines(clashes: Sequence[Clash], width: int, *, colour: bool) -> Iterator[str]:
    """Yields each clash: what it is, then what either source says."""
    if not clashes:
        yield "no clash"
    for clash in clashes:
        severity = painted(clash.severity, clash.severity, colour=colour)
        text = f"{severity}: {escape(clash.message)} [{clash.rule}]"
        yield from wrapped(text, width, after="  ")
        for source, claim in zip(clash.sources, clash.claims, strict=True):
            yield from wrapped(f"{escape(source)}: {escape(claim)}", width, "    ")


def clash_objects(clashes: Sequence[Clash]) -> list[Object]:
    """Returns the clashes as objects."""
    return [
        {
            "rule": clash.rule,
            "severity": clash.severity,
            "number": clash.number,
            "message": clash.message,
            "sources": [
                {"source": source, "claim": claim}
                for source, claim in zip(clash.sources, clash.claims, strict=True)
            ],
        }
        for clash in clashes
    ]


def advice_lines(advice: Advice, width: int) -> Iterator[str]:
    """Yields what to keep, leave and take, with reasons; runs with one reason share a line."""
    cells: list[tuple[str, str, str]] = []
    runs: list[list[Suggestion]] = []
    for suggestion in advice.suggestions:
        last = runs[-1][-1] if runs else None
        if (
            last
            and suggestion.number == last.number + 1
            and (suggestion.action, suggestion.reason, suggestion.replaces)
            == (last.action, last.reason, None)
        ):
            runs[-1].append(suggestion)
        else:
            runs.append([suggestion])
    for run in runs:
        numbers = _span(run[0].number, run[-1].number)
        if run[0].replaces is not None:
            numbers = f"{_number(run[0].replaces)} -> {numbers}"
        cells.append((run[0].action, numbers, run[0].reason))
    yield from table_lines(("do", "number", "why"), cells, width)
    for note in advice.notes:
        yield from wrapped(escape(note), width, "- ", "  ")


def advice_object(advice: Advice) -> Object:
    """Returns the advice as an object."""
    suggestions = [suggestion._asdict() for suggestion in advice.suggestions]
    return {**advice._asdict(), "suggestions": suggestions}


def cost_lines(cost: Cost, width: int) -> Iterator[str]:
    """Yields what a maximum costs, beside today's table and a sparse one."""
    from xensave.numbers.cost import PASSES

    head = ("table", "entries", "bytes", "iterations a pass", "against today")
    tables = (
        (f"today, maximum {cost.code_max}", cost.today),
        (f"maximum {cost.maximum}", cost.proposed),
        ("sparse", cost.sparse),
    )
    cells = [
        (
            name,
            f"{table.entries:,}",
            f"{table.size:,}",
            f"{table.iterations:,}",
            _against(table.size - cost.today.size, table.iterations - cost.today.iterations),
        )
        for name, table in tables
    ]
    yield from table_lines(head, cells, width, right=(1, 2, 3))
    yield ""
    sentence = (
        f"Xen {escape(cost.release)} has {cost.today.entry_size} bytes an entry; a save makes "
        f"{PASSES} passes, one to size and one to save. A sparse table has an entry for each "
        "record that is registered, and grows by one when one is added."
    )
    yield from wrapped(sentence, width)


def cost_object(cost: Cost) -> Object:
    """Returns the cost as an object."""
    from xensave.numbers.cost import PASSES, TableCost

    def described(table: TableCost) -> Object:
        return {
            "entries": table.entries,
            "bytes": table.size,
            "iterations": table.iterations,
            "bytes_more": table.size - cost.today.size,
            "iterations_more": table.iterations - cost.today.iterations,
        }

    return {
        "release": cost.release,
        "max": cost.maximum,
        "max_today": cost.code_max,
        "entry_size": cost.today.entry_size,
        "passes_per_save": PASSES,
        "bytes_more": cost.bytes_more,
        "iterations_more": cost.iterations_more,
        "today": described(cost.today),
        "proposed": described(cost.proposed),
        "sparse": described(cost.sparse),
    }


def _against(size: int, iterations: int) -> str:
    if not size and not iterations:
        return ""
    return f"{size:+,} {plural(abs(size), 'byte')}, {iterations:+,} iterations"


def _free(first: int, last: int) -> tuple[str, ...]:
    return (_span(first, last), "", "", "", "", "free", "")


def _span(first: int, last: int) -> str:
    if first == last:
        return _number(first)
    if first < _PAGE:
        return f"{first} - {last}"
    return f"{_number(first)} - {_number(last)}"


def _number(number: int) -> str:
    """Returns a number as it is spoken of: in decimal, or in hexadecimal with an upper byte."""
    return f"{number}" if not _PAGE <= number <= TYPECODE_MAX else f"{number:#06x}"
