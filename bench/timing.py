"""Run whole processes in turn; the system says what each took: time, processor, peak memory."""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

_SHELL = frozenset("|&;<>()$`*?[#~=%")


class Run(NamedTuple):
    """One finished command: seconds of wall clock, of processor time, mebibytes of its peak.

    The processor time is that of all its processes, of user and system.
    """

    wall: float
    processor: float
    peak: float


def run(command: str) -> Run:
    """Run a command to its end; raises RuntimeError with its stderr where it fails.

    A shell is started only where the command needs one.
    """
    plain = not _SHELL.intersection(command)
    words = shlex.split(command) if plain else ["bash", "-c", f"set -o pipefail; {command}"]
    start = time.perf_counter()
    child = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    with child:
        if child.returncode:
            assert child.stderr is not None
            raise RuntimeError(f"{command}: {child.stderr.read().decode(errors='replace')}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_turn(commands: Sequence[str], runs: int) -> list[list[Run]]:
    """Run the commands in turn, A B A B ..., after one warm-up each; return the runs of each.

    So the runs at one place of the lists belong together, whatever else the machine did.
    """
    for command in commands:
        run(command)
    rounds = [[run(command) for command in commands] for _ in range(runs)]
    return [list(each) for each in zip(*rounds, strict=True)]


def middle(runs: Sequence[Run]) -> Run:
    """Return the median of each figure.

    >>> middle([Run(1, 4, 0), Run(2, 5, 0), Run(9, 6, 0)])
    Run(wall=2, processor=5, peak=0)
    """
    return Run(*(statistics.median(figures) for figures in zip(*runs, strict=True)))
