"""Layouts as a C header: packed structs, with assertions of every size and offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from xensave.records.flat import leaves, members
from xensave.views.layouts.parts import FLEXIBLE, Described, Member

_SUFFIX = {True: "int", False: "uint"}


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
        lines += _members(record.members, 1, count())
        lines += ["} XENSAVE_PACKED;", *_assertions(record)]
    return "\n".join(lines) + "\n"


def _members(parts: Sequence[Member], depth: int, pads: count[int]) -> Iterator[str]:
    indent = "    " * depth
    for member in parts:
        if member.bits:
            for bit in member.bits:
                yield f"{indent}uint{_width(member.size)}_t {bit.name}:{bit.width};"
        elif member.is_padding:
            yield f"{indent}uint8_t _pad{next(pads)}[{member.items}];"
        elif member.members:
            yield f"{indent}{'union' if member.union else 'struct'} {{"
            yield from _members(member.members, depth + 1, pads)
            name = f" {member.name}{_dimension(member)}" if member.name else ""
            yield f"{indent}}} XENSAVE_PACKED{name};"
        else:
            kind = f"{_SUFFIX[member.signed]}{8 * member.size}_t"
            yield f"{indent}{kind} {member.name}{_dimension(member)};"


def _width(size: int) -> int:
    return next(width for width in (8, 16, 32, 64) if width >= 8 * size)


def _dimension(member: Member) -> str:
    if member.items is None:
        return ""
    return "[]" if member.items == FLEXIBLE else f"[{member.items}]"


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
