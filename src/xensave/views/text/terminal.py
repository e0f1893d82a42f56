"""Where text goes: how wide it may be, and whether in colour."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from xensave.views.text.wrap import LEAST_ROOM, cells, wrapped

_PIPE_WIDTH = 100
_UNKNOWN_WIDTH = 80

COLOUR_CHOICES = ("auto", "always", "never")


def width_of(stream: TextIO) -> int:
    """Returns the columns of a stream: $COLUMNS, else the terminal's, else 100.

    A terminal that tells none has 80.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(int(asked), LEAST_ROOM)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return _PIPE_WIDTH
    # A serial console or a terminal that a program made may not know.
    return max(columns or _UNKNOWN_WIDTH, LEAST_ROOM)


def fold_width(stream: TextIO) -> int:
    """Returns the columns at which one-line messages are folded: in a pipe they never are."""
    return width_of(stream) if stream.isatty() else sys.maxsize


def folded(text: str, stream: TextIO, hang: int = 2) -> str:
    """Returns text as a terminal shows it whole: long lines folded between words; for a pipe as is.

    What goes on stands `hang` columns behind the line's own indentation.
    """
    width = fold_width(stream)
    if width == sys.maxsize:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        if cells(line) <= width:
            lines.append(line)
            continue
        own = len(line) - len(line.lstrip(" "))
        # An indentation that leaves no room is given up: for a short one, or almost none.
        wide = (own + step for step in (hang, 4) if width - own - step >= LEAST_ROOM)
        after = " " * next(wide, hang % 3)
        lines += wrapped(line, width, after=after)
    return "\n".join(lines)


def coloured(stream: TextIO, choice: str = "auto") -> bool:
    """Tells whether to write colours to a stream.

    `choice` is what --color says. With "auto" $NO_COLOR forbids and $FORCE_COLOR demands them
    where they are set to anything ("0" demands nothing); else a terminal shows them, a pipe not.
    """
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
