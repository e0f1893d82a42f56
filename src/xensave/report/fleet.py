"""Gather what a page says of a scanned fleet: what each target makes of it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from xensave.fleet.plan import Planned, UpgradeStep, by_step, plan_of
from xensave.fleet.query import FleetTable, open_table, question
from xensave.report.charts import bar
from xensave.report.page import Bar, PageFact, PageTable

ROWS = 1000
"""The most rows of a table; the rest is counted, and `xensave query` has them."""

_COUNTS = (
    "SELECT count(*), count(*) FILTER (error IS NOT NULL), sum(size) FILTER (size > 0),"
    " count(*) FILTER (read = 'glance'), min(scanned), max(scanned) FROM fleet"
)
_KINDS = (
    ("What they are", "type"),
    ("Who wrote them", "toolstack"),
    ("The Xen that saved them", "xen"),
    ("How they were read", "read"),
)
_ERRORS = question("errors").sql
_REASONS = question("by-reason").sql


class TargetPart(NamedTuple):
    """What a target makes of the fleet: counts of each step, reasons, and the guests by step."""

    anchor: str
    target: str
    bar: Bar | None
    counts: PageTable
    reasons: PageTable
    guests: tuple[PageTable, ...]


class FleetPage(NamedTuple):
    """A scanned fleet."""

    path: str
    facts: tuple[PageFact, ...]
    kinds: tuple[Bar, ...]
    targets: tuple[TargetPart, ...]
    errors: PageTable


def fleet_page(table: str) -> FleetPage:
    """Returns the page of a table that `xensave scan` wrote. Raises SourceError and UsageError."""
    with open_table(table) as fleet:
        return _page(fleet)


def _page(fleet: FleetTable) -> FleetPage:
    targets = fleet.targets
    reasons = fleet.ask(_REASONS).rows
    parts = [_target(fleet, target, f"target-{n}", reasons) for n, target in enumerate(targets, 1)]
    kinds = (_kinds(fleet, caption, column) for caption, column in _KINDS)
    errors = _rows(fleet.ask(_ERRORS).rows)
    return FleetPage(
        path=fleet.name,
        facts=tuple(_facts(fleet, targets)),
        kinds=tuple(each for each in kinds if each is not None),
        targets=tuple(parts),
        errors=_cut("", ("image", "why"), errors, code=(0,)),
    )


def _facts(fleet: FleetTable, targets: Sequence[str]) -> Iterator[PageFact]:
    images, errors, size, glanced, first, last = fleet.ask(_COUNTS).rows[0]
    yield PageFact("images", f"{images:,}" + (f", {errors:,} of them unreadable" if errors else ""))
    yield PageFact("bytes", f"{int(str(size or 0)):,}")
    yield PageFact("targets", ", ".join(targets) or "none")
    if glanced:
        yield PageFact(
            "glances", f"{glanced:,} were looked at by head and tail alone; scan says how"
        )
    if isinstance(first, float) and isinstance(last, float):
        times = [
            datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M") for each in (first, last)
        ]
        yield PageFact("looked at", " to ".join(dict.fromkeys(times)) + " UTC")


def _kinds(fleet: FleetTable, caption: str, column: str) -> Bar | None:
    """Returns a bar of how many images have each value of a column."""
    sql = (
        f"SELECT coalesce({column}, 'not known'), count(*) AS n FROM fleet"
        " GROUP BY 1 ORDER BY n DESC, 1"
    )
    pieces = [(str(kind), int(str(count))) for kind, count in fleet.ask(sql).rows]
    return bar(caption, [(kind, f"{kind}: {count:,}", count) for kind, count in pieces])


def _target(
    fleet: FleetTable, target: str, anchor: str, reasons: Sequence[Sequence[object]]
) -> TargetPart:
    """Returns a target's part; `reasons` are those of all targets."""
    plans = plan_of(fleet, target)
    steps = by_step(plans)
    pieces = [
        (step.text, f"{len(chosen):,} {step.text}", len(chosen)) for step, chosen in steps.items()
    ]
    counts = tuple((f"{len(chosen):,}", step.text) for step, chosen in steps.items())
    own = [row[1:] for row in reasons if row[0] == target]
    head = ("rule", "errno", "images", "example", "why")
    return TargetPart(
        anchor=anchor,
        target=target,
        bar=bar(f"{len(plans):,} images on Xen {target}", pieces),
        counts=PageTable("", ("images", "step"), counts, (0,)),
        reasons=_cut("Why images are refused", head, _rows(own), right=(2,), code=(0, 1, 3)),
        guests=tuple(
            _guests(step, chosen)
            for step, chosen in steps.items()
            if step not in (UpgradeStep.RESTORE, UpgradeStep.LOOK)
        ),
    )


def _guests(step: UpgradeStep, chosen: Sequence[Planned]) -> PageTable:
    head: tuple[str, ...] = ("guest", "image", "why")
    rows: list[tuple[str, ...]] = [(each.guest or "", each.address, each.why) for each in chosen]
    if any(each.losses for each in chosen):
        head = (*head, "would lose")
        rows = [(*row, "; ".join(each.losses)) for row, each in zip(rows, chosen, strict=True)]
    return _cut(f"{len(chosen):,} {step.text}", head, rows, code=(1,))


def _rows(rows: Sequence[Sequence[object]]) -> list[tuple[str, ...]]:
    return [tuple("" if cell is None else str(cell) for cell in row) for row in rows]


def _cut(
    title: str,
    head: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    right: tuple[int, ...] = (),
    code: tuple[int, ...] = (),
) -> PageTable:
    left = len(rows) - ROWS
    note = f"{left:,} more are left out; xensave query lists them." if left > 0 else ""
    return PageTable(title, head, tuple(rows[:ROWS]), right, code, note)
