"""A matrix of verdicts as text, JSON and a picture."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from xensave.catalogue.points import span
from xensave.engine.verdict import Refused, Verdict
from xensave.toolstack.releases.matrix import (
    DEPENDS,
    FIXUP,
    REFUSED,
    RESTORES,
    Matrix,
    Split,
    VerdictRow,
    outcome,
)
from xensave.toolstack.releases.series import Answer
from xensave.views.answers.verdicts import verdict_object
from xensave.views.picture import picture_path, save
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import cells, wrapped

_SIGNS = {RESTORES: "+", FIXUP: "~", DEPENDS: "?"}
_COLOURS = {RESTORES: "#2e7d32", FIXUP: "#9ccc65", DEPENDS: "#ffd54f", REFUSED: "#c62828"}
_LEGEND = ("+ restores", "~ restores, with records extended or converted", "? depends on the host")


def matrix_text(table: Matrix, width: int = sys.maxsize) -> str:
    """Returns the table: a sign or the number of a reason in each cell, the reasons below.

    Columns that do not fit into the width are put below the others, in as many blocks as it takes.
    """
    reasons: dict[str, int] = {}
    shown = [
        [
            _cell(verdict, reasons) + "*" * bool(split)
            for verdict, split in zip(row.verdicts, _splits_of(row), strict=True)
        ]
        for row in table.rows
    ]
    labels = [row.label for row in table.rows]
    first = max([cells(escape(label)) for label in labels], default=0)
    widths = [
        max([len(column), *(len(row[index]) for row in shown)])
        for index, column in enumerate(table.columns)
    ]
    lines = [f"{table.title}:"]
    for start, end in _blocks(widths, width - first):
        part = slice(start, end)
        rows = [[label, *row[part]] for label, row in zip(labels, shown, strict=True)]
        head = ["", *table.columns[part]]
        lines += ["", *table_lines(head, rows, sys.maxsize, range(1, len(head)), gap=" ")]
    lines += ["", *_LEGEND]
    if any(any(row.splits) for row in table.rows):
        lines.append("* of some point releases only, see below")
    notes = [f"{number} refused: {escape(reason)}" for reason, number in reasons.items()]
    for text in [*notes, *_splits(table)]:
        lines += wrapped(text, width, after="  ")
    return "\n".join(lines)


def _splits_of(row: VerdictRow) -> tuple[tuple[Split, ...], ...]:
    return row.splits or ((),) * len(row.verdicts)


def _splits(table: Matrix) -> Iterator[str]:
    """Yields which point releases of a row and a column do not restore, where others do."""
    for row in table.rows:
        columns: dict[str, list[str]] = {}
        for column, splits in zip(table.columns, row.splits, strict=False):
            of_all = {point for split in splits for each in split.answers for point in each.points}
            words = [
                _met(
                    split, answer, whole=len(splits) == 1, column=len(answer.points) == len(of_all)
                )
                for split in splits
                for answer in split.answers
                if not answer.verdict.accepted
            ]
            if words:
                columns.setdefault("; ".join(words), []).append(column)
        for text, answers in columns.items():
            yield f"* {escape(row.label)} on {', '.join(answers)}: {text}"


def _met(split: Split, answer: Answer, *, whole: bool, column: bool) -> str:
    """Says who refuses, of whom: a `whole` row's guests, or by a whole `column`, unnamed."""
    saved = "" if whole or not split.saved else f"that of {span(split.saved)} "
    if isinstance(answer.verdict, Refused):
        who = "" if column else f" by {answer.span}"
        return f"{saved}refused{who} ({obstacle(answer.verdict)})"
    return f"{saved}depends on the host{'' if column else f' on {answer.span}'}"


def _blocks(widths: list[int], room: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of columns that fit in `room` characters; one at least."""
    start = used = 0
    for index, column in enumerate(widths):
        if index > start and used + column + 1 > room:
            yield start, index
            start, used = index, 0
        used += column + 1
    yield start, len(widths)


def _cell(verdict: Verdict, reasons: dict[str, int]) -> str:
    if not isinstance(verdict, Refused):
        return _SIGNS[outcome(verdict)]
    # One reason of many releases is one footnote, though each names itself in it.
    reason = re.sub(r"\bXen \d+\.\d+(\.\d+)?\b", "that release", verdict.reason)
    text = f"{obstacle(verdict)}: {reason}"
    return str(reasons.setdefault(text, len(reasons) + 1))


def obstacle(verdict: Refused) -> str:
    """Returns what a refusal stands on: the record's name without instance, or the header."""
    return (verdict.record or "the context").partition("[")[0]


def matrix_object(table: Matrix) -> dict[str, object]:
    """Returns the table as an object: a list of rows, each with its verdicts by column."""
    rows = [
        {
            "source": row.label,
            "targets": [
                {
                    "outcome": outcome(verdict),
                    **verdict_object(row.label, column, verdict),
                    "points": [*_points(split)],
                }
                for column, verdict, split in zip(
                    table.columns, row.verdicts, _splits_of(row), strict=True
                )
            ],
        }
        for row in table.rows
    ]
    return {"title": table.title, "columns": list(table.columns), "rows": rows}


def _points(splits: tuple[Split, ...]) -> Iterator[dict[str, object]]:
    """Yields what differs between point releases: who saved, who restores, and how it ends."""
    for split in splits:
        for answer in split.answers:
            yield {
                "saved": list(split.saved),
                "releases": list(answer.points),
                "outcome": outcome(answer.verdict),
            }


def plot(table: Matrix, path: str) -> None:
    """Draws the table into an .svg, .png or .pdf file.

    Raises UsageError for another ending, or where matplotlib is not installed; OSError where the
    file cannot be written.
    """
    target = picture_path(path)
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    order = list(_COLOURS)
    grid = [[order.index(outcome(verdict)) for verdict in row.verdicts] for row in table.rows]
    width, height = len(table.columns), len(table.rows)
    figure = Figure(figsize=(2 + 0.42 * width, 2 + 0.32 * height))
    axes = figure.subplots()
    colours = ListedColormap([*_COLOURS.values()])
    axes.imshow(grid, cmap=colours, vmin=-0.5, vmax=len(order) - 0.5, aspect="auto")
    axes.set_xticks(range(width), table.columns, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(height), [row.label for row in table.rows], fontsize=8)
    axes.set_xlabel("restored by Xen")
    axes.set_title(table.title, fontsize=10)
    for at, row in enumerate(table.rows):
        for place, verdict in enumerate(row.verdicts):
            if isinstance(verdict, Refused):
                name = obstacle(verdict).replace(" header", "").replace("_VCPU", "")
                text = name.replace("_", "\n")
                axes.text(place, at, text, ha="center", va="center", fontsize=4.5, color="white")
    handles = [Patch(color=colour, label=kind) for kind, colour in _COLOURS.items()]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False
    )
    save(figure, target)
