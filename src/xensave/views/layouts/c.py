"""Layouts as a C header: packed structs, with assertions of every size and offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from xensave.records.flat import leaves, members
from xensave.views.layouts.parts import Described, declarations


def render(records: Sequence[Described], release: str) -> str:
    """Return a header that gcc and clang take; the records' own structs by Xen's names."""
    lines = [
        f"/* HVM save records of Xen {release}, little-endian. Made by xensave. */",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#define XENSAVE_PACKED __attribute__((packed))",
    ]
    for record in records:
        lines += ["", *(f"/* {line} */" for line in record.about)]
        lines += [f"struct {record.layout.struct} {{"]
        lines += declarations(record.members, count(), flexible="[]", packed=" XENSAVE_PACKED")
        lines += ["} XENSAVE_PACKED;", *_assertions(record)]
    return "\n".join(lines) + "\n"


def _assertions(record: Described) -> Iterator[str]:
    struct = f"struct {record.layout.struct}"
    # CPU_XSAVE and CPU_MSR end in a flexible array, which has no size.
    yield f'_Static_assert(sizeof({struct}) == {record.layout.size}, "{record.binding.name}");'
    for place in leaves(record.layout.fields):
        if place.field.bits is None and not any(0 in p.dims for p in place.parents):
            yield (
                f"_Static_assert(offsetof({struct}, {_designator(record, place.path)}) == "
                f'{place.offset}, "{place.path}");'
            )


def _designator(record: Described, path: str) -> str:
    """A path as offsetof() takes it: an array of structs by its first element."""
    words: list[str] = []
    fields = record.layout.fields
    for name in path.split("."):
        found = next(field for field, _ in members(fields) if field.name == name)
        words.append(f"{name}[0]" if found.dims and found.fields else name)
        fields = found.fields
    return ".".join(words)
