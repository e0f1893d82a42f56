"""Layouts as a C header: packed structs, with assertions of every size and offset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

from xensave.records.flat import leaves, members
from xensave.views.layouts.parts import Described, declarations


def render(records: Sequence[Described], release: str) -> str:
    """Returns a header that gcc and clang take, as C and C++; the structs by Xen's names."""
    guard = f"XENSAVE_RECORDS_{re.sub(r'[^A-Z0-9]', '_', release.upper())}_H"
    lines = [
        f"/* HVM save records of Xen {release}, little-endian. Made by xensave. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#define XENSAVE_PACKED __attribute__((packed))",
        "#ifdef __cplusplus",
        "#define XENSAVE_ASSERT static_assert",
        "#else",
        "#define XENSAVE_ASSERT _Static_assert",
        "#endif",
    ]
    for record in records:
        lines += ["", *(f"/* {line} */" for line in record.about)]
        lines += [f"struct {record.layout.struct} {{"]
        lines += declarations(record.members, count(), flexible="[]", packed=" XENSAVE_PACKED")
        lines += ["} XENSAVE_PACKED;", *_assertions(record)]
    lines += ["", f"#endif /* {guard} */"]
    return "\n".join(lines) + "\n"


def _assertions(record: Described) -> Iterator[str]:
    struct = f"struct {record.layout.struct}"
    if not record.layout.size:
        return  # END's struct is empty, which C++ gives a byte.
    # CPU_XSAVE and CPU_MSR end in a flexible array, which has no size.
    yield f'XENSAVE_ASSERT(sizeof({struct}) == {record.layout.size}, "{record.binding.name}");'
    for place in leaves(record.layout.fields):
        if place.field.bits is None and not any(0 in p.dims for p in place.parents):
            yield (
                f"XENSAVE_ASSERT(offsetof({struct}, {_designator(record, place.path)}) == "
                f'{place.offset}, "{place.path}");'
            )


def _designator(record: Described, path: str) -> str:
    """A path as offsetof() takes it: an array of structs by its first element."""
    words: list[str] = []
    fields = record.layout.fields
    for name in path.split("."):
        member = next(field for field, _ in members(fields) if field.name == name)
        words.append(f"{name}[0]" if member.dims and member.fields else name)
        fields = member.fields
    return ".".join(words)
