"""Where output goes, and what to say where it cannot: no reader, no room, a closed stream."""

from __future__ import annotations

import errno
import os
import sys

from xensave.errors import UsageError
from xensave.views.text.escape import escape

CLOSED_PIPE = 128 + 13
"""The exit code of a shell for a process that SIGPIPE ended: no answer, and no finding either."""

_OF_PROCESS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EPERM, errno.ENOENT}
"""Errors that an open stream does not have: of the process, or of a file without name."""


def stand_in() -> None:
    """Puts streams in the place of standard output and error that were closed before the start.

    Writing to such an output fails as writing to the closed one would; errors are lost.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def no_terminal(out: str | None) -> None:
    """Refuses to write an image onto a terminal. Raises UsageError."""
    from xensave.source.output import is_standard

    if out is not None and is_standard(out) and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it, or name a file as OUT")


def write_text(path: str, text: str) -> None:
    """Writes a text to a file, which is there whole or not at all; "-" is standard output."""
    from xensave.source.base import write_all
    from xensave.source.output import writing

    with writing(path) as output:
        sys.stdout.flush()
        write_all(output.fd, memoryview(text.encode("utf-8", "backslashreplace")))


def failed(command: str | None, error: OSError) -> int:
    """Says in a line what failed, and returns the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        # Else the interpreter would try again at its end, and complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        # The reader went away (| head): as if SIGPIPE had ended it, as it does other filters.
        return CLOSED_PIPE
    name = f"xensave {command}" if command else "xensave"
    sys.stderr.write(f"{name}: {_place(error)}{escape(str(error.strerror or error))}\n")
    return 2


def _place(error: OSError) -> str:
    if error.filename:
        return f"{escape(os.fsdecode(error.filename))}: "
    return "" if error.errno in _OF_PROCESS else "standard output: "
