"""Run whole processes side by side, and take their wall time and peak memory from the system."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One finished process: seconds of wall clock and mebibytes of its peak."""

    wall: float
    peak: float


class Figures(NamedTuple):
    """The medians of the runs of one command."""

    wall: float
    peak: float


def run(command: str) -> Run:
    """Run a shell command to its end; raises RuntimeError with its stderr where it fails."""
    start = time.perf_counter()
    child = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {command}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    with child:
        if child.returncode:
            assert child.stderr is not None
            raise RuntimeError(f"{command}: {child.stderr.read().decode(errors='replace')}")
    return Run(wall, usage.ru_maxrss / 1024)


def side_by_side(commands: Sequence[str], runs: int) -> list[Figures]:
    """Run the commands in turn, A B A B ..., after one warm-up each; return their medians."""
    for command in commands:
        run(command)
    taken: list[list[Run]] = [[] for _ in commands]
    for _ in range(runs):
        for command, done in zip(commands, taken, strict=True):
            done.append(run(command))
    return [
        Figures(
            statistics.median(each.wall for each in done),
            statistics.median(each.peak for each in done),
        )
        for done in taken
    ]
