"""How far a long copy is, on a terminal, a few times a second."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

_SECONDS = 0.2
_CLEAR = "\r\x1b[K"


class Meter:
    """Counts bytes; writes nothing where the stream is no terminal.

    `with Meter(sys.stderr) as meter:` clears its line at the end.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._done = 0
        self._shown = False
        self._next = time.monotonic() + _SECONDS if stream.isatty() else float("inf")

    def add(self, count: int) -> None:
        """Count bytes that were written."""
        self._done += count
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS
        self._shown = True
        self._stream.write(f"{_CLEAR}{self._done >> 20:,} MiB")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
