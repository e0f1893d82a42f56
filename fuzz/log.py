"""What a run of mass mutation came to, and the log that it keeps of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

KEPT_FAILURES = 1000


class Failure(NamedTuple):
    """An input that broke a promise: its number, the target, and how."""

    number: int
    target: str
    what: str


class Tally(NamedTuple):
    """What some inputs came to; `slowest` has seconds of processor time and an input's number."""

    inputs: int
    taken: Counter[str]
    refused: Counter[str]
    slowest: dict[str, tuple[float, int]]
    growth_kib: int
    failures: list[Failure]


class Log(NamedTuple):
    """The log of a run over inputs from `first` on; it is written anew after each batch."""

    seed: int
    first: int
    names: tuple[str, ...]

    def write(self, path: Path, total: Tally, seconds: float) -> None:
        """Put the log in its place whole."""
        log = {
            "seed": self.seed,
            "first": self.first,
            "inputs": total.inputs,
            "targets": {
                name: {
                    "taken": total.taken[name],
                    "refused": total.refused[name],
                    "slowest_ms": round(1000 * total.slowest[name][0], 1),
                    "slowest_input": total.slowest[name][1],
                }
                for name in self.names
            },
            "memory_growth_kib": total.growth_kib,
            "failures": [failure._asdict() for failure in total.failures[:KEPT_FAILURES]],
            "failed": len(total.failures),
            "seconds": round(seconds),
        }
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(json.dumps(log, indent=2) + "\n")
        beside.replace(path)

    def read(self, path: Path) -> tuple[Tally, float]:
        """Return what a run came to before it was stopped, and its seconds.

        Raises ValueError for the log of other inputs or targets.
        """
        log = json.loads(path.read_text())
        targets = log["targets"]
        if (log["seed"], log["first"], tuple(targets)) != self:
            raise ValueError(f"{path}: of other inputs or other targets")
        total = Tally(
            log["inputs"],
            Counter({name: target["taken"] for name, target in targets.items()}),
            Counter({name: target["refused"] for name, target in targets.items()}),
            {
                name: (target["slowest_ms"] / 1000, target["slowest_input"])
                for name, target in targets.items()
            },
            log["memory_growth_kib"],
            [Failure(**failure) for failure in log["failures"]],
        )
        return total, log["seconds"]
