"""A process that answers in lines: what is hostile takes from it no more than its limits."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

from xensave.errors import SourceError


class ChildEnded(Exception):
    """A question that was not answered; the next one starts another process.

    `status` is the exit status of the process, of a signal negative. `cut` says that the answer was
    too long, and that it was ended for that.
    """

    def __init__(self, status: int, *, cut: bool) -> None:
        super().__init__(status)
        self.status = status
        self.cut = cut


class Child:
    """One process, of Python: started when first asked, then kept; again where it has died.

    `name` is what errors call it, `main` what it runs: for each line of its input it writes one.
    Of the environment it has `settings`, and where Python's modules lie.
    """

    def __init__(self, name: str, main: str, **settings: str) -> None:
        self._name = name
        self._main = main
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()
        atexit.register(self.close)

    def ask(self, question: str, most: int = -1) -> bytes:
        """Returns the answer, of `most` bytes if that is not negative.

        Raises ChildEnded where there is none, SourceError where the process cannot be started.
        """
        with self._lock:
            stdin, stdout = self._pipes()
            line = b""
            try:
                with suppress(BrokenPipeError):
                    stdin.write(question.encode() + b"\n")
                    stdin.flush()
                    line = stdout.readline(most)
            except BaseException:
                # An answer that nobody waited for would be the next question's.
                self.close()
                raise
            if not line.endswith(b"\n"):
                raise ChildEnded(self._end(kill=bool(line)), cut=bool(line))
        return line

    def close(self) -> None:
        """Ends the process."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> int:
        """Waits for the end of the process, and returns its status; 0 where it is no child."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return 0
        if kill:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        return process.wait()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            self.close()
            process = self._process = self._started()
            self._owner = os.getpid()
        if process.stdin is None or process.stdout is None:
            raise SourceError(f"{self._name} did not start")
        return process.stdin, process.stdout

    def _started(self) -> subprocess.Popen[bytes]:
        modules = os.pathsep.join(path for path in sys.path if path)
        try:
            return subprocess.Popen(
                [sys.executable, "-S", "-c", self._main],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": modules, **self._settings},
            )
        except OSError as error:
            raise SourceError(f"{self._name} cannot start: {error.strerror or error}") from error
