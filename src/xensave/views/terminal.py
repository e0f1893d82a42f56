"""Where text goes: how wide it may be, whether in colour, how a long line is broken."""

from __future__ import annotations

import os
from typing import TextIO

_PIPE_WIDTH = 100
_NARROWEST = 20


def width_of(stream: TextIO) -> int:
    """Return the columns of a stream: $COLUMNS, else the terminal's, else 100."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(int(asked), _NARROWEST)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, _NARROWEST)
    except (OSError, ValueError):
        return _PIPE_WIDTH


def coloured(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal does, unless $NO_COLOR is set to anything."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def hang(label: str, text: str, width: int, column: int) -> list[str]:
    """Lay text beside a label: its words in lines that start at a column.

    Where the label reaches past the column or little room is left, the text begins below it.

    >>> hang("rflags", "ZF PF IF", 16, 8)
    ['rflags  ZF PF IF']
    >>> hang("rflags", "ZF PF IF", 12, 8)
    ['rflags', '  ZF PF IF']
    """
    if not text:
        return [label]
    room = width - column
    if len(text) > room and (room < _NARROWEST or max(map(len, text.split(" "))) > room):
        column = len(label) - len(label.lstrip()) + 2
        lines, line = [label], ""
    elif len(label) + 1 > column:
        lines, line = [label], ""
    else:
        lines, line = [], label
    for word in text.split(" "):
        start = line.ljust(column)
        if line.strip() and len(start) > column and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = " " * column + word
        elif len(start) > column:
            line = f"{line} {word}"
        else:
            line = start + word
    return [*lines, line.rstrip()]
