"""The map of a guest's memory, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.image.memory.memory_map import FileRun, MapRange, MemoryMap
from xensave.image.memory.special_pages import SpecialPages
from xensave.views.guest.summary import size_text
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines

if TYPE_CHECKING:
    from xensave.views.records.record_json import Json

ROWS_LIMIT = 1 << 14
"""The most ranges that are shown as text."""

MAP_HEAD = ("start", "end", "frames", "types", "what")
"""The columns of a range, as `range_row` has them."""

_LABEL = 11


def map_lines(name: str, memory_map: MemoryMap, width: int) -> Iterator[str]:
    """Yields the map: what there is, then the ranges."""
    yield escape(name)
    for label, text in map_facts(memory_map):
        yield f"  {label:<{_LABEL}}{text}"
    yield ""
    rows = [range_row(each) for each in memory_map.ranges[:ROWS_LIMIT]]
    yield from table_lines(MAP_HEAD, rows, width, [0, 1, 2], indent="  ")
    left = len(memory_map.ranges) - len(rows)
    if left:
        yield f"  {left:,} more ranges: --json has them all"


def map_json(name: str, memory_map: MemoryMap, runs: Iterable[FileRun]) -> Iterator[str]:
    """Yields the map as pieces of JSON: a guest may have a million ranges and runs.

    docs/reference/image/memory.md says what its keys are.
    """
    contents = memory_map.contents
    passes: list[Json] = [
        {"sent": each.sent, "first": each.first, "resent": each.sent - each.first}
        for each in memory_map.passes
    ]
    fields: dict[str, Json] = {
        "input": name,
        "frames": memory_map.frames,
        "distinct": memory_map.frames,
        "sent": memory_map.sent,
        "resent": memory_map.sent - memory_map.frames,
        "listed": memory_map.listed,
        "passes": passes,
        "types": dict(memory_map.types),
        "zero": contents.zero if contents else None,
        "duplicate": contents.duplicate if contents else None,
        "zstd_estimate": contents.compressed if contents else None,
        "verify_differs": list(memory_map.differing),
        "mmio_hole": _place(memory_map.hole) if memory_map.hole else None,
        "special": [{"name": each.name, **_place(each)} for each in memory_map.special],
    }
    yield json.dumps(fields)[:-1]
    yield ', "ranges": ['
    yield from _joined(_range_json(each) for each in memory_map.ranges)
    yield '], "map": ['
    yield from _joined(_run_json(run) for run in runs)
    yield "]}"


def _joined(items: Iterable[dict[str, Json]]) -> Iterator[str]:
    for number, item in enumerate(items):
        yield f"{', ' if number else ''}{json.dumps(item)}"


def _range_json(each: MapRange) -> dict[str, Json]:
    types: dict[str, Json] = {**each.types}
    return {**_place(each), "data": each.data, "types": types, "name": each.name or None}


def _run_json(run: FileRun) -> dict[str, Json]:
    return {
        **_place(run),
        "depth": 0,
        "present": True,
        "zero": run.zero,
        "data": None if run.zero is None else not run.zero,
        "offset": run.offset,
    }


def _place(frames: SpecialPages | MapRange | FileRun) -> dict[str, Json]:
    return {"start": frames.pfn << PAGE_SHIFT, "length": frames.frames << PAGE_SHIFT}


def map_facts(memory_map: MemoryMap) -> Iterator[tuple[str, str]]:
    """Yields what the map says of memory as a whole, as labels and texts."""
    size = size_text(memory_map.frames * PAGE_SIZE)
    yield "contents", f"{memory_map.frames:,} frames ({size}), of {memory_map.listed:,} entries"
    resent = memory_map.sent - memory_map.frames
    if resent:
        yield "sent", f"{memory_map.sent:,} pages, {resent:,} of them again"
        for number, each in enumerate(memory_map.passes, 1):
            again = each.sent - each.first
            yield f"pass {number}", f"{each.sent:,} pages, {again:,} of them again"
    if memory_map.contents is not None:
        zero, duplicate = memory_map.contents.zero, memory_map.contents.duplicate
        yield "pages", f"{zero:,} zero, {duplicate:,} duplicates of others"
        yield "as zstd", f"about {size_text(memory_map.contents.compressed)}"
    yield "types", ", ".join(f"{name} {count:,}" for name, count in memory_map.types.items())
    if memory_map.hole is not None:
        first, end = memory_map.hole.pfn, memory_map.hole.pfn + memory_map.hole.frames
        yield "MMIO hole", f"{first << PAGE_SHIFT:#x} - {(end << PAGE_SHIFT) - 1:#x}"
    if memory_map.differing:
        shown = " ".join(f"{pfn:#x}" for pfn in memory_map.differing[:16])
        more = " ..." if len(memory_map.differing) > 16 else ""
        yield "verify", f"{len(memory_map.differing):,} frames differ after VERIFY: {shown}{more}"


def range_row(each: MapRange) -> tuple[str, ...]:
    """Returns a range as cells: start, end, frames, types, what."""
    end = each.pfn + each.frames
    first, *rest = each.types.items() or [("", 0)]
    types = first[0] if not rest else " ".join(f"{name}:{n:,}" for name, n in (first, *rest))
    return (
        f"{each.pfn << PAGE_SHIFT:#x}",
        f"{(end << PAGE_SHIFT) - 1:#x}",
        f"{each.frames:,}",
        types,
        each.name or ("" if each.data else "no contents"),
    )
