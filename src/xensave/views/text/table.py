"""Tables of text: columns aligned, the last one wrapped to the terminal's width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xensave.views.text import wrap
from xensave.views.text.escape import escape
from xensave.views.text.wrap import cells, wrapped

_GAP = "  "
_LEAST = 16


def table_lines(
    head: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    width: int,
    right: Sequence[int] = (),
    *,
    gap: str = _GAP,
    indent: str = "",
) -> Iterator[str]:
    """Yields a table's lines: a head, then the rows; columns numbered in `right` align right.

    Every cell is escaped; None is an empty one. Where the last column has little room it goes on
    a line of its own, unless it aligns right.

    >>> for line in table_lines(("number", "name"), [("2", "CPU"), ("16", "CPU_XSAVE")], 80, [0]):
    ...     print(line)
    number  name
         2  CPU
        16  CPU_XSAVE
    """
    texts = [[escape(cell or "") for cell in row] for row in (head, *rows)]
    widths = [max(cells(row[at]) for row in texts) for at in range(len(head))]
    start = len(indent) + sum(widths[:-1]) + len(gap) * (len(head) - 1)
    figures = len(head) - 1 in right
    below = not figures and start + min(_LEAST, widths[-1]) > width
    for row in texts:
        front = indent + gap.join(
            (wrap.right if at in right else wrap.left)(cell, wide)
            for at, (cell, wide) in enumerate(zip(row[:-1], widths, strict=False))
        )
        last = row[-1]
        if below:
            yield front.rstrip()
            if last and row is not texts[0]:
                yield from wrapped(last, width, indent + "    ")
            continue
        front += gap if len(head) > 1 else ""
        if figures or start + cells(last) <= width:
            yield f"{front}{wrap.right(last, widths[-1]) if figures else last}".rstrip()
        else:
            yield from wrapped(last, width, front, " " * start)
