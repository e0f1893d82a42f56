"""How long a fleet's table becomes in memory: known before it is read there.

A Parquet file keeps a text that many rows share once, and nothing of a row without values; what its
footer says may be a lie. So it is unfolded piece by piece, in a process of its own whose memory has
a limit.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from xensave.errors import SourceError
from xensave.source.limits import EXPANSION_FLOOR

UNFOLDED_RATIO = 256
"""Beyond EXPANSION_FLOOR a table may become this many times as long as its files."""

_MAIN = "from xensave.fleet.measure import main; main()"


class TableSize(NamedTuple):
    """How long tables become, their longest text, and how long they may become; in bytes."""

    unfolded: int
    longest: int
    limit: int


def table_size(paths: Sequence[str], columns: Sequence[str] = ()) -> TableSize:
    """Returns how long these columns of Parquet files become together; of all if none are named.

    Raises SourceError where that is beyond what a scan writes, ValueError for a damaged file.
    """
    if not paths:
        return TableSize(0, 0, EXPANSION_FLOOR)
    limit = max(EXPANSION_FLOOR, UNFOLDED_RATIO * sum(Path(path).stat().st_size for path in paths))
    job = [[os.path.abspath(path) for path in paths], list(columns), limit]  # noqa: PTH100
    answer = _PROCESS.ask(json.dumps(job))
    if answer is None:
        raise SourceError(f"{paths[0]}: takes more memory than a table of a fleet")
    kind, *rest = answer
    if kind == "sizes":
        return TableSize(int(rest[0]), int(rest[1]), limit)
    name, text = paths[int(rest[0])], str(rest[1])
    raise SourceError(text).about(name) if kind == "limit" else ValueError(text)


class _Process:
    """One measuring process: started when first asked, and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, job: str) -> list[str | int] | None:
        """Returns the answer to a job; none where the process died of it."""
        with self._lock:
            stdin, stdout = self._pipes()
            line = b""
            with suppress(BrokenPipeError):
                stdin.write(job.encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            if not line.endswith(b"\n"):
                self.close()
                return None
        answer: list[str | int] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            self.close()
            process = self._process = _started()
            self._owner = os.getpid()
        if process.stdin is None or process.stdout is None:
            raise SourceError("the process that measures tables did not start")
        return process.stdin, process.stdout


def _started() -> subprocess.Popen[bytes]:
    """A fresh process with nothing of the environment but where Python's modules lie."""
    modules = os.pathsep.join(path for path in sys.path if path)
    try:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": modules, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        )
    except OSError as error:
        reason = error.strerror or error
        raise SourceError(f"the process that measures tables cannot start: {reason}") from error


_PROCESS = _Process()
atexit.register(_PROCESS.close)
