"""Rows that count work a second inside one process: contexts decoded, contexts judged."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from xensave.context_columns import context_columns
from xensave.engine import Hypervisor
from xensave.testing.streams import restorable_context

CONTEXTS = 20_000
JUDGED = 2_000


class Rate(NamedTuple):
    """How many a second, and the goal."""

    name: str
    a_second: float
    goal: float


def rates(runs: int) -> list[Rate]:
    """Measure every rate, the median of `runs`."""
    one = restorable_context("4.17")
    many = [one] * CONTEXTS
    hypervisor = Hypervisor("4.17")

    if not hypervisor.load(one).accepted:
        raise RuntimeError("the context to be judged is refused: its cost would mean nothing")

    def judge() -> None:
        for data in many[:JUDGED]:
            hypervisor.load(data)

    decode = _median(lambda: context_columns(many, "4.17"), runs)
    judged = _median(judge, runs)
    return [
        Rate(f"decode contexts of {len(one)} bytes into columns", CONTEXTS / decode, 100_000),
        Rate(f"check contexts of {len(one)} bytes against 4.17", JUDGED / judged, 1_000),
    ]


def _median(act: Callable[[], object], runs: int) -> float:
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
