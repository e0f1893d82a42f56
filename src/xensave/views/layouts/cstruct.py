"""Layouts as dissect.cstruct definitions: `cstruct().load(open(FILE).read())`, unaligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from xensave.views.layouts.parts import FLEXIBLE, Described, Member


def render(records: Sequence[Described], release: str) -> str:
    """Return definitions that dissect.cstruct reads; each struct by the record's name."""
    lines = [f"// HVM save records of Xen {release}, little-endian. Made by xensave."]
    for record in records:
        lines += ["", *(f"// {line}" for line in record.about)]
        lines += [f"struct {record.binding.name} {{"]
        lines += _members(record.members, 1, count())
        lines += ["};"]
    return "\n".join(lines) + "\n"


def _members(parts: Sequence[Member], depth: int, pads: count[int]) -> Iterator[str]:
    indent = "    " * depth
    for member in parts:
        if member.bits:
            width = next(width for width in (8, 16, 32, 64) if width >= 8 * member.size)
            for bit in member.bits:
                # It knows no bit-field without a name.
                name = bit.name or f"_pad{next(pads)}"
                yield f"{indent}uint{width}_t {name} : {bit.width};"
        elif member.is_padding:
            yield f"{indent}uint8_t _pad{next(pads)}[{member.items}];"
        elif member.members:
            yield f"{indent}{'union' if member.union else 'struct'} {{"
            yield from _members(member.members, depth + 1, pads)
            name = f" {member.name}{_dimension(member)}" if member.name else ""
            yield f"{indent}}}{name};"
        else:
            kind = f"{'int' if member.signed else 'uint'}{8 * member.size}_t"
            yield f"{indent}{kind} {member.name}{_dimension(member)};"


def _dimension(member: Member) -> str:
    if member.items is None:
        return ""
    return "[EOF]" if member.items == FLEXIBLE else f"[{member.items}]"
