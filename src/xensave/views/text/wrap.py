"""Text in lines: how wide it is on a terminal, where it is broken, what it hangs from."""

from __future__ import annotations

import re
from collections.abc import Iterator

LEAST_ROOM = 20
"""With less room than this beside a label, text goes below it."""

_SGR = r"\x1b\[[0-9;]*m"


def cells(text: str) -> int:
    r"""Returns the columns that text takes: two for a wide character, none for a colour.

    >>> cells("dom0"), cells("东京"), cells("\x1b[31mno\x1b[0m")
    (4, 4, 2)
    """
    if "\x1b" in text:
        text = re.sub(_SGR, "", text)
    if text.isascii():
        return len(text)
    # Only text beyond ASCII pays for the import.
    from rich.cells import cell_len

    return cell_len(text)


def plural(count: int, noun: str) -> str:
    """Returns a noun as it stands behind a number.

    >>> plural(1, "page"), plural(0, "page")
    ('page', 'pages')
    """
    return noun if count == 1 else f"{noun}s"


def left(text: str, width: int) -> str:
    """Returns text with spaces after it, to fill so many columns."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """Returns text with spaces before it, to fill so many columns."""
    return " " * (width - cells(text)) + text


def wrapped(text: str, width: int, indent: str = "", after: str | None = None) -> Iterator[str]:
    """Yields text in lines of at most `width` columns, broken between words only.

    `indent` begins the first line, `after` the others (by default the same). A word that is
    longer than a line has a line to itself.

    >>> list(wrapped("one two three", 8))
    ['one two', 'three']
    >>> list(wrapped("one two three", 10, "* ", "  "))
    ['* one two', '  three']
    """
    if cells(indent) + cells(text) <= width:
        yield (indent + text).rstrip()
        return
    words = text.lstrip(" ")
    start, line, used = indent + " " * (len(text) - len(words)), "", 0
    for word in words.split(" "):
        size = cells(word)
        if line and cells(start) + used + 1 + size > width:
            yield (start + line).rstrip()
            start = indent if after is None else after
            line, used = word, size
        elif line:
            line, used = f"{line} {word}", used + 1 + size
        else:
            line, used = word, size
    yield (start + line).rstrip()


def hang(label: str, text: str, width: int, column: int) -> list[str]:
    """Lays text beside a label: its words in lines that start at a column.

    Where the label reaches past the column or little room is left, the text begins below it.

    >>> hang("rflags", "ZF PF IF", 16, 8)
    ['rflags  ZF PF IF']
    >>> hang("rflags", "ZF PF IF", 12, 8)
    ['rflags', '  ZF PF IF']
    """
    if not text:
        return [label]
    room = width - column
    plain = label.isascii() and text.isascii() and "\x1b" not in label and "\x1b" not in text
    if plain and len(label) < column and len(text) <= room:
        return [f"{label:<{column}}{text}".rstrip()]
    below = cells(label) + 1 > column
    size = cells(text)
    if size <= room and not below:
        return [(left(label, column) + text).rstrip()]
    if size > room and (room < LEAST_ROOM or max(map(cells, text.split(" "))) > room):
        column, below = len(label) - len(label.lstrip()) + 2, True
    margin = " " * column
    if below:
        return [label, *wrapped(text, width, margin)]
    return list(wrapped(text, width, left(label, column), margin))
