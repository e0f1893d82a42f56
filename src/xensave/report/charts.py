"""Bars: lengths to places of 1,000."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import log2

from xensave.report.page import Bar, BarSegment, Legend

WIDTH = 1000.0
COLOURS = 8
"""The style sheet has so many; what comes after them is drawn in the last."""
LEAST_WIDTH = 0.2
"""Nobody sees a narrower piece: those that follow one another are one segment."""


def bar(
    caption: str, pieces: Iterable[tuple[str, str, int]], *, logarithmic: bool = False
) -> Bar | None:
    """Returns a bar of (kind, text, length) in their order; None where there is nothing to draw.

    Each kind has a colour, in the order of first occurrence. A logarithmic bar shows small pieces
    beside large ones: a piece is as wide as the logarithm of its length.

    >>> [round(s.width) for s in bar("", [("a", "", 1), ("b", "", 3)]).segments]
    [250, 750]
    """
    result = [piece for piece in pieces if piece[2] > 0]
    widths = [log2(length + 1) if logarithmic else float(length) for _, _, length in result]
    total = sum(widths)
    if not total:
        return None
    colours: dict[str, int] = {}
    for kind, _, _ in result:
        colours.setdefault(kind, min(len(colours), COLOURS - 1))
    segments = []
    start = share = 0.0
    joined = 0
    last = len(result) - 1
    for number, ((kind, text, _), width) in enumerate(zip(result, widths, strict=True)):
        share += WIDTH * width / total
        joined += 1
        if share < LEAST_WIDTH and number < last:
            continue
        what = text if joined == 1 else f"{joined:,} pieces; the last is {text}"
        segments.append(BarSegment(round(start, 2), round(share, 2), colours[kind], what))
        start += share
        share, joined = 0.0, 0
    legend = tuple(Legend(colour, kind) for kind, colour in islice(colours.items(), COLOURS))
    return Bar(caption, tuple(segments), legend)
