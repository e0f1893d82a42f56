"""What changed between two releases, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from xensave.views.text.escape import escape
from xensave.views.text.wrap import wrapped

if TYPE_CHECKING:
    from xensave.toolstack.releases.compare import ReleaseDifference

_TITLES = {
    "record": "records",
    "layout": "layouts",
    "load": "how records load",
    "check": "the check pass",
    "number": "the number space",
    "stream": "streams",
    "toolstack": "what the toolstack refuses",
    "policy": "CPU policies",
    "point": "within a series",
}


def difference_lines(differences: Sequence[ReleaseDifference], width: int) -> Iterator[str]:
    """Yields the differences by kind, each with the commit that made it."""
    if not differences:
        yield "nothing changed"
    order = [
        *_TITLES,
        *dict.fromkeys(each.kind for each in differences if each.kind not in _TITLES),
    ]
    rows = sorted(differences, key=lambda each: order.index(each.kind))
    for place, (kind, group) in enumerate(groupby(rows, key=lambda each: each.kind)):
        if place:
            yield ""
        yield _TITLES.get(kind, kind)
        for each in group:
            text = f"{escape(each.subject)}: {escape(each.text)}"
            yield from wrapped(text, width, "  ", "    ")
            if each.cite:
                yield from wrapped(escape(each.cite), width, "    ")
