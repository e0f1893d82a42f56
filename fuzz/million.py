"""Mass mutation: `python -m fuzz.million --count 1000000`.

Each input is a seed with a few random injuries, given to every target of its kind. It is a failure
if a target raises anything but XensaveError, takes longer than a second of processor time, or
makes the process grow by more than 64 MiB over what it was after the seeds themselves. Input N is
the same in every run of one `--seed`, whatever the number of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from fuzz.corpus import seeds_of
from fuzz.targets import IMAGES, TARGETS, run
from xensave.testing.mutate import mutate

SECONDS = 1.0
GROWTH_KIB = 64 << 10
MEMORY = "memory"
BATCH = 200


class Failure(NamedTuple):
    """An input that broke a promise: its number, the target, and how."""

    number: int
    target: str
    what: str


class Tally(NamedTuple):
    """What a batch of inputs came to."""

    inputs: int
    taken: Counter[str]
    refused: Counter[str]
    slowest: dict[str, tuple[float, int]]
    growth_kib: int
    failures: list[Failure]


def input_of(seed: int, number: int, kind: str = IMAGES) -> bytes:
    """Return input `number` of a kind: one of its seeds, chosen and injured at random.

    >>> input_of(1, 7) == input_of(1, 7)
    True
    """
    random = Random(f"{seed}/{number}")
    return mutate(random.choice(list(seeds_of(kind).values())), random, rounds=5)


def _peak_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@cache
def _floor() -> int:
    """Return what the code and its tables take once the seeds were given to every target.

    The peak so far is forgotten: making the seeds took more (xz compresses with 90 MiB).
    """
    for target in TARGETS.values():
        for data in seeds_of(target.kind).values():
            run(target, data)
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_kib()


def batch(seed: int, numbers: range, names: tuple[str, ...]) -> Tally:
    """Run some inputs through some targets."""
    floor = _floor()
    kinds = {TARGETS[name].kind for name in names}
    tally = Tally(len(numbers), Counter(), Counter(), dict.fromkeys(names, (0.0, -1)), 0, [])
    for number in numbers:
        inputs = {kind: input_of(seed, number, kind) for kind in kinds}
        for name in names:
            _one(tally, name, number, inputs[TARGETS[name].kind])
        grown = _peak_kib() - floor
        if grown > GROWTH_KIB and not any(failure.target == MEMORY for failure in tally.failures):
            tally.failures.append(Failure(number, MEMORY, f"grew by {grown} KiB"))
    return tally._replace(growth_kib=_peak_kib() - floor)


def _one(tally: Tally, name: str, number: int, data: bytes) -> None:
    start = time.thread_time()
    try:
        took = run(TARGETS[name], data)
    except Exception:
        # A crash is what is looked for: it is reported with its number, and the run goes on.
        tally.failures.append(Failure(number, name, traceback.format_exc(limit=-3)))
        return
    seconds = time.thread_time() - start
    (tally.taken if took else tally.refused)[name] += 1
    tally.slowest[name] = max(tally.slowest[name], (seconds, number))
    if seconds > SECONDS:
        tally.failures.append(Failure(number, name, f"took {seconds:.2f} s"))


def main() -> int:
    """Run all inputs; exit 1 if any failed."""
    args = _parser().parse_args()
    names = tuple(args.target or TARGETS)
    numbers = range(args.first, args.first + args.count)
    batches = [numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)]
    total = Tally(0, Counter(), Counter(), dict.fromkeys(names, (0.0, -1)), 0, [])
    start = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        for part in pool.map(batch, *zip(*((args.seed, b, names) for b in batches), strict=True)):
            total = _add(total, part)
            _report(args, total, names, time.monotonic() - start)
    for failure in total.failures[:20]:
        print(f"input {failure.number}, {failure.target}: {failure.what}", file=sys.stderr)
    return 1 if total.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz.million", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="the first input's number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--log", type=Path, default=Path("million.json"))
    return parser


def _add(total: Tally, part: Tally) -> Tally:
    return Tally(
        total.inputs + part.inputs,
        total.taken + part.taken,
        total.refused + part.refused,
        {name: max(total.slowest[name], part.slowest[name]) for name in total.slowest},
        max(total.growth_kib, part.growth_kib),
        total.failures + part.failures,
    )


def _report(args: argparse.Namespace, total: Tally, names: tuple[str, ...], wall: float) -> None:
    log = {
        "seed": args.seed,
        "first": args.first,
        "inputs": total.inputs,
        "targets": {
            name: {
                "taken": total.taken[name],
                "refused": total.refused[name],
                "slowest_ms": round(1000 * total.slowest[name][0], 1),
                "slowest_input": total.slowest[name][1],
            }
            for name in names
        },
        "memory_growth_mib": round(total.growth_kib / 1024, 1),
        "failures": [failure._asdict() for failure in total.failures[:100]],
        "failed": len(total.failures),
        "seconds": round(wall),
    }
    args.log.write_text(json.dumps(log, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
