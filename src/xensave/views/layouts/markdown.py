"""Layouts as a page of Markdown: a table of fields for each record."""

from __future__ import annotations

from collections.abc import Sequence

from xensave.records.flat import walk
from xensave.views.layouts.parts import Described


def render(records: Sequence[Described], release: str) -> str:
    """Returns the page."""
    lines = [f"# HVM save records of Xen {release}", ""]
    for record in records:
        lines += [f"## {record.binding.name}", "", ". ".join(record.about) + ".", ""]
        lines += ["| offset | size | type | field |", "| ---: | ---: | --- | --- |"]
        for place in walk(record.layout.fields):
            field = place.field
            size = f"{field.bits[1]} bits" if field.bits else f"{field.size}"
            shift = f".{field.bits[0]}" if field.bits else ""
            dims = "".join(f"[{count or ''}]" for count in field.dims)
            name = place.path + dims if field.name else f"({'union' if field.union else 'struct'})"
            lines.append(f"| {place.offset}{shift} | {size} | `{field.type}` | `{name}` |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
