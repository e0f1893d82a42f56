"""How far it is, on a terminal: bytes, rate and time left, once a second has passed.

A thread looks at the offset of the input that was opened last, so that no reader has to report.
Without a terminal there is no thread; rich is imported when there is a line to draw.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, TextIO

from xensave.source.watch import Counted, Reading, watched
from xensave.views.text.escape import escape
from xensave.views.text.terminal import width_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE = 1.0
_INTERVAL = 0.2
_LABEL = 30
_WIDE, _MEDIUM, _NARROW = 88, 48, 34
"""The columns that the line takes with a name and a whole bar, with a rate, with a time."""


@contextmanager
def progress(stream: TextIO) -> Iterator[None]:
    """Shows on `stream`, if it is a terminal, how far the reading of inputs in the block is."""
    if not stream.isatty():
        yield
        return
    meter = Meter(stream)
    out = sys.stdout
    if out.isatty():
        sys.stdout = _Clearing(out, meter)
    meter.start()
    try:
        with watched(meter.watch):
            yield
    finally:
        meter.stop()
        sys.stdout = out


def position_of(source: Reading) -> tuple[int, int | None]:
    """Returns how many bytes of an input were read, and of how many, as they lie in the file.

    >>> from xensave.source.memory import MemorySource
    >>> position_of(MemorySource(b"abc"))
    (0, 3)
    """
    beneath = source.beneath
    if source.size is None and beneath is not None:
        return beneath.offset, beneath.size
    return source.offset, source.size


class Meter:
    """Draws the progress of the input opened last, until it is stopped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._source: Reading | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._lock = RLock()
        self._over = Event()
        self._printed = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to wait for the first second."""
        self._thread.start()

    def watch(self, source: Reading) -> None:
        """Takes an input, or what is counted: an input is one of the things counted."""
        with self._lock:
            if isinstance(self._source, Counted) and not isinstance(source, Counted):
                return
            self._hide()
            self._source = source

    def clear(self) -> None:
        """Takes the line off the terminal: something is about to be printed there."""
        self._printed.set()
        with self._lock:
            self._hide()

    def stop(self) -> None:
        """Ends, and leaves nothing on the terminal."""
        self._over.set()
        self._thread.join()
        self.clear()

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _run(self) -> None:
        wait = _PATIENCE
        while not self._over.wait(wait):
            # What was printed is a sign of life, and good for another second.
            wait = _PATIENCE if self._printed.is_set() else _INTERVAL
            self._printed.clear()
            with self._lock:
                if wait == _INTERVAL and self._source is not None:
                    self._draw(self._source)

    def _draw(self, source: Reading) -> None:
        done, total = position_of(source)
        if self._bar is None or self._task is None:
            self._bar = self._new()
            self._task = self._bar.add_task(source.name, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        self._bar.refresh()

    def _new(self) -> Progress:
        from rich import progress as bars
        from rich.console import Console
        from rich.markup import escape as unmarked

        name = "" if self._source is None else escape(self._source.name).rpartition("/")[2]
        # What a narrow terminal has no room for goes, from the least telling on: one line it is.
        room = width_of(self._stream)
        label = min(_LABEL, room - _MEDIUM)
        counted = isinstance(self._source, Counted)
        columns: list[tuple[bool, bars.ProgressColumn]] = [
            (label > 0, bars.TextColumn(unmarked(name[-label:]))),
            (True, bars.BarColumn(20 if room >= _WIDE else 8)),
            (counted, bars.MofNCompleteColumn()),
            (not counted, bars.DownloadColumn(binary_units=True)),
            (not counted and room >= _MEDIUM, bars.TransferSpeedColumn()),
            (room >= _NARROW, bars.TimeRemainingColumn()),
        ]
        return bars.Progress(
            *(column for wanted, column in columns if wanted),
            console=Console(file=self._stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )


class _Clearing:
    """Standard output that takes the progress off the terminal before it writes there."""

    def __init__(self, out: TextIO, meter: Meter) -> None:
        self._out = out
        self._meter = meter

    def write(self, text: str) -> int:
        """Clears the line, and writes."""
        self._meter.clear()
        return self._out.write(text)

    def writelines(self, lines: list[str]) -> None:
        """Clears the line, and writes."""
        self._meter.clear()
        self._out.writelines(lines)

    def __getattr__(self, name: str) -> object:
        return getattr(self._out, name)
