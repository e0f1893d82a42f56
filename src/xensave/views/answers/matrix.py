"""A matrix of verdicts as text, JSON and a picture."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

from xensave.catalogue.points import span
from xensave.engine.verdict import Refused, Verdict
from xensave.errors import MissingExtra, SourceError
from xensave.toolstack.releases.matrix import (
    DEPENDS,
    FIXUP,
    REFUSED,
    RESTORES,
    Matrix,
    Row,
    Split,
    outcome,
)
from xensave.toolstack.releases.series import Answer
from xensave.views.answers.verdicts import verdict_object
from xensave.views.picture import save
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import cells, wrapped

_SIGNS = {RESTORES: "+", FIXUP: "~", DEPENDS: "?"}
_COLOURS = {RESTORES: "#2e7d32", FIXUP: "#9ccc65", DEPENDS: "#ffd54f", REFUSED: "#c62828"}
_LEGEND = ("+ restores", "~ restores, with records extended or converted", "? depends on the host")


def matrix_text(table: Matrix, width: int | None = None) -> str:
    """Returns the table: a sign or the number of a reason in each cell, the reasons below.

    With a `width` the columns are put below one another in as many blocks as that takes.
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
    for start, end in _blocks(widths, None if width is None else width - first):
        part = slice(start, end)
        rows = [[label, *row[part]] for label, row in zip(labels, shown, strict=True)]
        head = ["", *table.columns[part]]
        lines += ["", *table_lines(head, rows, sys.maxsize, range(1, len(head)), gap=" ")]
    lines += ["", *_LEGEND]
    if any(any(row.splits) for row in table.rows):
        lines.append("* of some point releases only, see below")
    for reason, number in reasons.items():
        text = f"{number} refused: {escape(reason)}"
        lines += wrapped(text, sys.maxsize if width is None else width, after="  ")
    for text in _splits(table):
        lines += wrapped(text, sys.maxsize if width is None else width, after="  ")
    return "\n".join(lines)


def _splits_of(row: Row) -> tuple[tuple[Split, ...], ...]:
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


def _blocks(widths: list[int], room: int | None) -> Iterator[tuple[int, int]]:
    """Yields ranges of columns that fit in `room` characters; one at least."""
    start = used = 0
    for index, column in enumerate(widths):
        if room is not None and index > start and used + column + 1 > room:
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


def matrix_json(table: Matrix) -> str:
    """Returns the table as JSON: a list of rows, each with its verdicts by column."""
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
    return json.dumps({"title": table.title, "columns": list(table.columns), "rows": rows})


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
    """Draws the table into a file, whose suffix says the format (.svg, .png, .pdf).

    Raises UsageError where matplotlib is missing or knows no such format, SourceError where the
    file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtra("drawing", "matplotlib", "plot") from error
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "xensave"
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    order = [RESTORES, FIXUP, DEPENDS, REFUSED]
    grid = [[order.index(outcome(verdict)) for verdict in row.verdicts] for row in table.rows]
    width, height = len(table.columns), len(table.rows)
    figure, axes = plt.subplots(figsize=(2 + 0.42 * width, 2 + 0.32 * height))
    axes.imshow(
        grid,
        cmap=ListedColormap([_COLOURS[kind] for kind in order]),
        vmin=-0.5,
        vmax=3.5,
        aspect="auto",
    )
    axes.set_xticks(range(width), table.columns, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(height), [row.label for row in table.rows], fontsize=8)
    axes.set_xlabel("restored by Xen")
    axes.set_title(table.title, fontsize=10)
    for at, row in enumerate(table.rows):
        for place, verdict in enumerate(row.verdicts):
            if isinstance(verdict, Refused):
                name = (
                    obstacle(verdict).replace(" header", "").replace("_VCPU", "").replace("_", "\n")
                )
                axes.text(place, at, name, ha="center", va="center", fontsize=4.5, color="white")
    handles = [Patch(color=_COLOURS[kind], label=kind) for kind in order]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False
    )
    figure.tight_layout()
    try:
        save(figure, path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    finally:
        plt.close(figure)
