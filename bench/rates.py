"""Rows that count work a second inside one process: contexts decoded, contexts judged."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from bench.measure import Rate
from xensave.context_columns import context_columns
from xensave.engine import Hypervisor
from xensave.testing.streams import restorable_context

CONTEXTS = 20_000
JUDGED = 2_000


def rates(runs: int) -> Iterator[Rate]:
    """Measure every rate in processor time, the median of `runs`."""
    one = restorable_context("4.17")
    many = [one] * CONTEXTS
    hypervisor = Hypervisor("4.17")

    if not hypervisor.load(one).accepted:
        raise RuntimeError("the context to be judged is refused: its cost would mean nothing")

    def judge() -> None:
        for data in many[:JUDGED]:
            hypervisor.load(data)

    yield _rate(
        f"contexts of {len(one)} bytes into columns",
        [CONTEXTS / _seconds(lambda: context_columns(many, "4.17")) for _ in range(runs)],
        goal=100_000,
        limit="a copy of the bytes",
    )
    yield _rate(
        f"contexts of {len(one)} bytes checked for 4.17",
        [JUDGED / _seconds(judge) for _ in range(runs)],
        goal=50_000,
        limit="a handler's rules for each record",
    )


def _seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def _rate(name: str, taken: list[float], *, goal: float, limit: str) -> Rate:
    rate = statistics.median(taken)
    return {
        "row": name,
        "taken": taken,
        "a_second": rate,
        "goal": goal,
        "near": goal / rate,
        "limit": limit,
    }
