"""Tables of text: columns aligned, the last one wrapped to the terminal's width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xensave.views.escape import escape

_GAP = "  "
_LEAST = 16


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Sequence[int] = ()
) -> Iterator[str]:
    """Yield a table's lines: a head, then the rows; columns numbered in `right` align right.

    Every cell is escaped. Where the last column has little room it goes on a line of its own.

    >>> for line in table_lines(("number", "name"), [("2", "CPU"), ("16", "CPU_XSAVE")], 80, [0]):
    ...     print(line)
    number  name
         2  CPU
        16  CPU_XSAVE
    """
    cells = [[escape(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    start = sum(widths[:-1]) + len(_GAP) * (len(head) - 1)
    below = start + min(_LEAST, widths[-1]) > width
    for row in cells:
        front = _GAP.join(
            cell.rjust(wide) if at in right else cell.ljust(wide)
            for at, (cell, wide) in enumerate(zip(row[:-1], widths, strict=False))
        )
        last = row[-1]
        if below:
            yield front.rstrip()
            if last and row is not cells[0]:
                yield from wrapped(last, width, "    ")
            continue
        if len(head) - 1 in right:
            last = last.rjust(widths[-1])
        lines = [last] if start + len(last) <= width else list(wrapped(last, width - start))
        yield f"{front}{_GAP if front else ''}{lines[0]}".rstrip()
        yield from (" " * start + line for line in lines[1:])


def wrapped(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Yield text in lines of at most `width` columns, broken between words where it can be.

    >>> list(wrapped("one two three", 8))
    ['one two', 'three']
    """
    line = ""
    for word in text.split(" "):
        if line and len(indent) + len(line) + 1 + len(word) > width:
            yield indent + line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield indent + line
