"""A fleet's answers: rows as a table, CSV or JSON, and an upgrade's list."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from enum import StrEnum

from xensave.fleet.plan import Planned, by_step
from xensave.fleet.query import QueryResult
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import plural

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a formula begins with in a spreadsheet, full width too; OWASP, "CSV Injection"."""


class Form(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def answer_lines(answer: QueryResult, form: Form, width: int) -> Iterator[str]:
    """Yields an answer's lines: a table for people, CSV or a JSON array of objects for programs."""
    if form is Form.JSON:
        yield json.dumps(
            [dict(zip(answer.columns, row, strict=True)) for row in answer.rows],
            indent=2,
            default=str,
        )
    elif form is Form.CSV:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(_plain, answer.columns))
        writer.writerows([_plain(value) for value in row] for row in answer.rows)
        yield text.getvalue().rstrip("\n")
    else:
        numeric = [
            at
            for at in range(len(answer.columns))
            if answer.rows and all(isinstance(row[at], (int, float)) for row in answer.rows)
        ]
        rows = [[_cell(value) for value in row] for row in answer.rows]
        yield from table_lines(answer.columns, rows, width, numeric)
        yield f"{len(rows)} {plural(len(rows), 'row')}"


def _cell(value: object) -> str:
    return "" if value is None else str(_flat(value))


def _plain(value: object) -> object:
    """Returns a value for a line of CSV, safe for a terminal too.

    A text that a spreadsheet would take for a formula, which can run commands and send what other
    cells hold, gets an apostrophe before it: guests and files are named by whoever owns them.

    >>> _plain("=HYPERLINK(A1)"), _plain("web=1"), _plain(-5)
    ("'=HYPERLINK(A1)", 'web=1', -5)
    """
    flat = _flat(value)
    if not isinstance(flat, str):
        return flat
    return f"'{escape(flat)}" if flat.startswith(_FORMULA) else escape(flat)


def _flat(value: object) -> object:
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str)
    return value


def plan_lines(plans: list[Planned], target: str) -> Iterator[str]:
    """Yields an upgrade's list: a heading for each step, and the guests under it."""
    yield f"To Xen {escape(target)}: {len(plans)} images"
    for step, chosen in by_step(plans).items():
        yield ""
        yield f"{len(chosen)} {step.text}"
        for each in chosen:
            guest = f" ({escape(each.guest)})" if each.guest else ""
            why = f": {escape(each.why)}" if each.why else ""
            yield f"  {escape(each.address)}{guest}{why}"
            for loss in each.losses:
                yield f"    loses {escape(loss)}"


def plan_object(plans: list[Planned], target: str) -> dict[str, object]:
    """Returns an upgrade's list as an object."""
    return {"target": target, "images": [each._asdict() for each in plans]}
