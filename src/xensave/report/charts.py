"""Bars: lengths to places of 1,000."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log2

from xensave.report.page import Bar, BarSegment, Legend

WIDTH = 1000.0
COLOURS = 8
"""The style sheet has so many; what comes after them is drawn in the last."""


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
    kinds = list(dict.fromkeys(kind for kind, _, _ in result))
    segments = []
    start = 0.0
    for (kind, text, _), width in zip(result, widths, strict=True):
        share = WIDTH * width / total
        segments.append(BarSegment(round(start, 2), round(share, 2), _colour(kinds, kind), text))
        start += share
    legend = tuple(Legend(_colour(kinds, kind), kind) for kind in kinds[:COLOURS])
    return Bar(caption, tuple(segments), legend)


def _colour(kinds: Sequence[str], kind: str) -> int:
    return min(kinds.index(kind), COLOURS - 1)
