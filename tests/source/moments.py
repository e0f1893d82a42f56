"""A process that is killed at a moment of its own making: before its N-th event.

An event is a call of a Python function, or of one in C, by the thread that runs `main`, or the
return of one; a step is one that changes files or their names. Nothing waits and nothing is
measured: the N-th is the same whatever else the machine does.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

STEPS = frozenset(
    {"open", "write", "writev", "pwrite", "truncate", "ftruncate", "copy_file_range", "splice",
     "sendfile", "fsync", "fdatasync", "link", "rename", "replace", "unlink", "mkdir", "rmdir",
     "close", "write_table", "fchown"}
)  # fmt: skip


class Moment(NamedTuple):
    """The event or the step, counted from 1, before which a process ends; 0: it does not."""

    event: int = 0
    step: int = 0


NEVER = Moment()
OPENS = frozenset({"writing", "write_table"})
"""What opens an output."""


class Run(NamedTuple):
    """An undisturbed run: its events, which of them stand beside a step, which opens an output."""

    events: int
    steps: list[int]
    opens: int

    def moments(self, count):
        """Return so many in their order: over all events, over the steps, the last of these.

        A quarter is of each, and the rest of the events from the opening of the output on. The last
        steps are those that give a file its name. Where threads wait for each other the number of
        events differs by some dozens, and that of steps does not.
        """
        each, events = count // 4, range(1, self.events + 1)
        numbers = range(1, len(self.steps) + 1)
        steps = {*spread(numbers, each), *numbers[-each:]}
        over_all = {*spread(events, each)}
        late = [at for at in events[self.opens :] if at not in over_all]
        moments = [(self.steps[step - 1], Moment(step=step)) for step in steps]
        over_all.update(spread(late, count - each - len(steps)))
        moments += [(at, Moment(at)) for at in over_all]
        return [moment for _, moment in sorted(moments)]


def spread(items, count):
    """Return so many of a sequence, at even distances.

    >>> spread(range(10), 2)
    [2, 7]
    """
    return [items[len(items) * (2 * each + 1) // (2 * count)] for each in range(count)]


class Counter:
    """Counts the events of a thread; kills the process at one of them, or notes the steps."""

    def __init__(self, last=NEVER):
        self.last, self.events, self.steps, self.opens = last, 0, [], 0

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def __call__(self, frame, event, function):
        self.events += 1
        if self.events == self.last.event:
            os.kill(os.getpid(), signal.SIGKILL)
        name = frame.f_code.co_name if event in {"call", "return"} else function.__name__
        if name in OPENS:
            self.opens = self.opens or self.events
        if name in STEPS:
            self.steps.append(self.events)
            if len(self.steps) == self.last.step:
                os.kill(os.getpid(), signal.SIGKILL)


CODE = """
import json, sys
from tests.source.moments import Counter, Moment
from xensave.cli import main
with Counter({last!r}) as counter:
    code = main(sys.argv[1:])
json.dump([code, counter.events, counter.steps, counter.opens], sys.stderr)
"""


def start(words, last=NEVER):
    """Run a command in a process of its own, which ends at a moment, if it is one."""
    return subprocess.run(
        [sys.executable, "-c", CODE.format(last=last), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        cwd=Path(__file__).parents[2],
        # What is counted shall not hang on the order of a set.
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def undisturbed(words):
    """Run a command to its end; return what it did."""
    code, *run = json.loads(start(words).stderr.splitlines()[-1])
    assert code == 0
    return Run(*run)


def killed(words, moment):
    """Run a command up to a moment; return whether it was still running then."""
    return start(words, moment).returncode == -signal.SIGKILL
