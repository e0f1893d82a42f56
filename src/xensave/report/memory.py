"""The guest's memory: what its pages hold, and its map."""

from __future__ import annotations

from typing import NamedTuple

from xensave.image import Image
from xensave.image.memory.memory_map import MemoryMap, memory_map
from xensave.report.charts import bar
from xensave.report.page import Bar, PageFact, PageTable
from xensave.views.guest.memory_map import MAP_HEAD, map_facts, range_row

_ROWS = 200
_PIECES = 4096


class MemoryPart(NamedTuple):
    """What a page says of memory."""

    facts: tuple[PageFact, ...] = ()
    bars: tuple[Bar, ...] = ()
    tables: tuple[PageTable, ...] = ()


def memory_part(image: Image) -> MemoryPart:
    """Returns what there is to say of an image's memory; nothing where it has none."""
    if image.unread:
        return MemoryPart(
            (PageFact("page records", f"{image.unread:,} bytes passed over (--walk)"),)
        )
    if not image.frames:
        return MemoryPart()
    result = memory_map(image)
    facts = tuple(PageFact(label, text) for label, text in map_facts(result))
    return MemoryPart(facts, _bars(result), _tables(result))


def _bars(result: MemoryMap) -> tuple[Bar, ...]:
    bars = []
    if result.contents is not None:
        zero, duplicate = result.contents.zero, result.contents.duplicate
        rest = result.frames - zero - duplicate
        pieces = [
            ("contents of their own", f"{rest:,} pages hold contents of their own", rest),
            ("as another page", f"{duplicate:,} pages hold what another holds", duplicate),
            ("zeros", f"{zero:,} pages hold only zeros", zero),
        ]
        bars.append(bar("What the pages hold", pieces))
    ranges = [
        (
            each.name or ("memory" if each.data else "no contents"),
            " ".join(cell for cell in range_row(each) if cell),
            each.frames,
        )
        for each in result.ranges[:_PIECES]
    ]
    caption = "Frames from the lowest to the highest; widths are logarithms of sizes"
    if len(result.ranges) > _PIECES:
        caption += f"; of {len(result.ranges):,} ranges the first {_PIECES:,}"
    bars.append(bar(caption, ranges, logarithmic=True))
    return tuple(each for each in bars if each is not None)


def _tables(result: MemoryMap) -> tuple[PageTable, ...]:
    rows = tuple(range_row(each) for each in result.ranges[:_ROWS])
    left = len(result.ranges) - len(rows)
    note = f"{left:,} more ranges are left out." if left else ""
    return (PageTable("Memory map", MAP_HEAD, rows, (0, 1, 2), (0, 1), note),)
