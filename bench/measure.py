"""A row measured: its runs, the ratio of each pair, and what moved since another run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from bench.rows import PROCESSOR, Row
from bench.timing import Run, in_turn, middle

SMALLEST = 1e-3
"""Seconds: what a start-up is taken from never becomes less, the clock tells no finer."""


class Measured(TypedDict):
    """A row of the log; `ratios` has one of each pair, `near` is the ratio in goals."""

    row: str
    against: str
    of: str
    seconds: float
    processor: float
    peak_mib: float
    against_seconds: float
    against_processor: float
    ratios: list[float]
    ratio: float
    goal: float
    near: float
    limit: str


class Rate(TypedDict):
    """Work a second inside one process; `taken` has the figure of each run."""

    row: str
    taken: list[float]
    a_second: float
    goal: float
    near: float
    limit: str


class Log(TypedDict):
    """What `--json` writes."""

    processes: list[Measured]
    rates: list[Rate]


class Moved(NamedTuple):
    """A row whose figures and those of another run do not meet."""

    row: str
    before: float
    now: float

    @property
    def line(self) -> str:
        """The move, in a line."""
        return f"{self.row}: {self.before:,.3g} -> {self.now:,.3g} ({self.now / self.before:.2f}x)"


def measure(row: Row, runs: int) -> Measured:
    """Run a row and what it is held against in turn, with their start-up where it is apart."""
    starts = [command for command in (row.start, row.against_start) if command]
    ours, theirs, *begun = in_turn([row.command, row.against, *starts], runs)
    started = begun.pop(0) if row.start else []
    against_started = begun.pop(0) if row.against_start else []
    pairs = zip(_work(ours, started, row.of), _work(theirs, against_started, row.of), strict=True)
    ratios = [one / other for one, other in pairs]
    own, other, ratio = middle(ours), middle(theirs), statistics.median(ratios)
    return {
        "row": row.name,
        "against": row.versus,
        "of": row.of + (" beyond start-up" if row.start else ""),
        "seconds": own.wall,
        "processor": own.processor,
        "peak_mib": own.peak,
        "against_seconds": other.wall,
        "against_processor": other.processor,
        "ratios": ratios,
        "ratio": ratio,
        "goal": row.goal,
        "near": ratio / row.goal,
        "limit": row.limit,
    }


def _work(runs: Sequence[Run], started: Sequence[Run], of: str) -> list[float]:
    """Return the seconds of each run, without those of its start-up."""
    figures = [run.processor if of == PROCESSOR else run.wall for run in runs]
    if not started:
        return figures
    begun = [run.processor if of == PROCESSOR else run.wall for run in started]
    return [max(all_ - start, SMALLEST) for all_, start in zip(figures, begun, strict=True)]


def moved(old: Log, new: Log) -> list[Moved]:
    """Return the rows of two runs whose figures have no range in common.

    Ratios of pairs are compared, of rates their figures: the machine may be another one.
    """
    found = []
    before = {_key(row): row for row in old["processes"]}
    for row in new["processes"]:
        then = before.get(_key(row))
        if then is not None and _apart(then["ratios"], row["ratios"]):
            found.append(Moved(" / ".join(_key(row)), then["ratio"], row["ratio"]))
    rates = {rate["row"]: rate for rate in old["rates"]}
    for rate in new["rates"]:
        past = rates.get(rate["row"])
        if past is not None and _apart(past["taken"], rate["taken"]):
            found.append(Moved(rate["row"], past["a_second"], rate["a_second"]))
    return found


def _key(row: Measured) -> tuple[str, str]:
    return row["row"], row["against"]


def _apart(runs: Sequence[float], other: Sequence[float]) -> bool:
    return max(runs) < min(other) or max(other) < min(runs)


def read(path: Path) -> Log:
    """Read a log that `--json` wrote."""
    log: Log = json.loads(path.read_text())
    return log
