"""Mass mutation: `python -m fuzz.million --count 1000000`.

Each input is a seed with a few random injuries, given to one target, which is drawn by its number.
It is a failure if the target raises anything but XensaveError, ends the process, takes longer than
a second of processor time, or makes the process grow by more than 64 MiB over what it was after the
seeds themselves. Input N and its target are the same in every run of one `--seed`, whatever the
number of processes. A run that was stopped goes on with `--resume`.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from fuzz.injuries import injured
from fuzz.kinds import seeds_of
from fuzz.log import Failure, Log, Tally
from fuzz.targets import TARGETS, run

SECONDS = 1.0
GROWTH_KIB = 64 << 10
MEMORY = "memory"
BATCH = 200
HANG_SECONDS = 60
"""How long one input may take by the clock before its process is ended, which is a failure."""

DIED = "ended the process"


class Case(NamedTuple):
    """An input and what it is given to."""

    target: str
    data: bytes


def case_of(seed: int, number: int, names: Sequence[str]) -> Case:
    """Return input `number`: a target of these, and a seed of its kind, injured at random.

    >>> case_of(1, 7, ["show", "host"]) == case_of(1, 7, ["show", "host"])
    True
    """
    target = Random(f"{seed}/{number}/target").choice(names)
    random = Random(f"{seed}/{number}")
    kind = TARGETS[target].kind
    return Case(target, injured(kind, random.choice(list(seeds_of(kind).values())), random))


def _peak_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@cache
def _floor(names: tuple[str, ...]) -> int:
    """Return what the code and its tables take once the seeds were given to their targets.

    The peak so far is forgotten: making the seeds took more (xz compresses with 90 MiB).
    """
    for target in map(TARGETS.__getitem__, names):
        for data in seeds_of(target.kind).values():
            run(target, data)
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_kib()


def batch(seed: int, numbers: range, names: tuple[str, ...]) -> Tally:
    """Run some inputs, each through its target."""
    floor = _floor(names)
    tally = _empty(names)._replace(inputs=len(numbers))
    for number in numbers:
        case = case_of(seed, number, names)
        _run_case(tally, case, number)
        grown = _peak_kib() - floor
        if grown > GROWTH_KIB and not any(failure.target == MEMORY for failure in tally.failures):
            tally.failures.append(Failure(number, MEMORY, f"{case.target}: grew by {grown} KiB"))
    return tally._replace(growth_kib=_peak_kib() - floor)


def _empty(names: tuple[str, ...]) -> Tally:
    return Tally(0, Counter(), Counter(), dict.fromkeys(names, (0.0, -1)), 0, [])


def _run_case(tally: Tally, case: Case, number: int) -> None:
    name = case.target
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    start = time.process_time()
    try:
        took = run(TARGETS[name], case.data)
    except Exception:
        # A crash is what is looked for: it is reported with its number, and the run goes on.
        tally.failures.append(Failure(number, name, traceback.format_exc(limit=-3)))
        return
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - start
    (tally.taken if took else tally.refused)[name] += 1
    tally.slowest[name] = max(tally.slowest[name], (seconds, number))
    if seconds > SECONDS:
        tally.failures.append(Failure(number, name, f"took {seconds:.2f} s"))


def tallies(seed: int, numbers: range, names: tuple[str, ...], jobs: int) -> Iterator[Tally]:
    """Yield what the inputs came to, a batch at a time, in their order."""
    left = deque(numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH))
    while left:
        try:
            with ProcessPoolExecutor(jobs) as pool:
                asked = zip(*((seed, numbers, names) for numbers in left), strict=True)
                for tally in pool.map(batch, *asked):
                    left.popleft()
                    yield tally
        except BrokenProcessPool:
            # An input of this batch or a later one ended its process: these again, each alone.
            for number in left.popleft():
                yield _alone(seed, number, names)


def _alone(seed: int, number: int, names: tuple[str, ...]) -> Tally:
    target = case_of(seed, number, names).target
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(batch, seed, range(number, number + 1), (target,)).result()
    except BrokenProcessPool:
        return _empty(names)._replace(inputs=1, failures=[Failure(number, target, DIED)])


def main() -> int:
    """Run all inputs; exit 1 if any failed."""
    args = _parser().parse_args()
    names = tuple(args.target or TARGETS)
    log = Log(args.seed, args.first, names)
    total, before = log.read(args.log) if args.resume else (_empty(names), 0.0)
    numbers = range(args.first + total.inputs, args.first + args.count)
    start = time.monotonic() - before
    for tally in tallies(args.seed, numbers, names, args.jobs):
        total = _add(total, tally)
        log.write(args.log, total, time.monotonic() - start)
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
    parser.add_argument("--resume", action="store_true", help="go on where the log ends")
    return parser


def _add(total: Tally, part: Tally) -> Tally:
    slowest = dict(total.slowest)
    for name, found in part.slowest.items():
        slowest[name] = max(slowest[name], found)
    return Tally(
        total.inputs + part.inputs,
        total.taken + part.taken,
        total.refused + part.refused,
        slowest,
        max(total.growth_kib, part.growth_kib),
        total.failures + part.failures,
    )


if __name__ == "__main__":
    raise SystemExit(main())
