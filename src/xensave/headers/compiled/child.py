"""The process that parses C, from its parent's side: started when first asked, then kept."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from typing import IO

from xensave.errors import LimitExceeded, MissingExtra, UsageError
from xensave.headers.compiled.job import Job, ParserAnswer
from xensave.headers.compiled.limits import ANSWER, FIELDS, MEMORY, SECONDS

_MAIN = "from xensave.headers.compiled.worker import main; main()"
_WORDS = {
    "fields": f"more than {FIELDS} fields",
    "memory": f"more than {MEMORY >> 20} MiB of memory",
    "parse": "what libclang cannot parse",
}


class Child:
    """One parsing process. `ask` starts it where it does not run."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, job: Job, label: str) -> ParserAnswer:
        """Returns what a compilation gives.

        Raises LimitExceeded, which names `label`, above a limit.
        """
        with self._lock:
            stdin, stdout = self._pipes()
            try:
                stdin.write(json.dumps(job).encode() + b"\n")
                stdin.flush()
                line = stdout.readline(ANSWER)
            except BrokenPipeError:
                line = b""
            if not line.endswith(b"\n"):
                raise LimitExceeded(f"{label}: its headers take {self._end(line)}")
        answer: ParserAnswer = json.loads(line)
        if answer["limit"]:
            raise LimitExceeded(f"{label}: its headers take {_WORDS[answer['limit']]}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()

    def _end(self, got: bytes) -> str:
        """Why the process gave no whole answer; the next job starts another."""
        process = self._process
        if process is not None:
            if got:
                process.kill()
            self.close()
            if process.returncode == -signal.SIGPROF:
                return f"more than {SECONDS:g} s of processor time"
        return f"more than {ANSWER >> 20} MiB to describe" if got else _WORDS["memory"]

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._owner != os.getpid():
            self._process, self._owner = _started(), os.getpid()
        if self._process.stdin is None or self._process.stdout is None:
            raise UsageError("the parser of C headers did not start")
        return self._process.stdin, self._process.stdout


def _started() -> subprocess.Popen[bytes]:
    """A fresh process with nothing of the environment but where Python's modules lie."""
    if importlib.util.find_spec("clang") is None:
        raise MissingExtra("reading C headers", "libclang", "headers")
    modules = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-S", "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": modules},
    )


_CHILD = Child()
atexit.register(_CHILD.close)
ask = _CHILD.ask
