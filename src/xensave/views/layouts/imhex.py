"""Layouts as an ImHex pattern for a whole HVM context. No ImHex has read it: it is untested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xensave.views.layouts.parts import Described, LayoutMember

_TO_THE_END = "[while(!std::mem::eof())]"


def render(records: Sequence[Described], release: str) -> str:
    """Returns a pattern: a struct a record, and one that picks by number."""
    lines = [
        "#pragma endian little",
        f"// HVM context of Xen {release}. Made by xensave; ImHex itself has not read it.",
    ]
    for record in records:
        lines += ["", *(f"// {line}" for line in record.about)]
        definitions: list[str] = []
        name = f"r_{record.binding.name.lower()}"
        body = list(_members(record.members, name, definitions))
        lines += [*definitions, f"struct {name} {{", *body, "};"]
    lines += [
        "",
        "struct record {",
        "    u16 typecode;",
        "    u16 instance;",
        "    u32 length;",
        "    u64 start = $;",
        "    match (typecode) {",
    ]
    lines += [f"        ({r.binding.typecode}): r_{r.binding.name.lower()} body;" for r in records]
    lines += ["        (_): u8 body[length];", "    }", "    $ = start + length;", "};", ""]
    lines += ["record records[while(!std::mem::eof())] @ 0;"]
    return "\n".join(["#include <std/mem.pat>", *lines]) + "\n"


def _members(parts: Sequence[LayoutMember], prefix: str, definitions: list[str]) -> Iterator[str]:
    for at, member in enumerate(parts):
        name = f"{prefix}_{member.name or at}"
        if member.bits:
            definitions.append(f"bitfield {name} {{")
            definitions += [f"    {bit.name or 'padding'} : {bit.width};" for bit in member.bits]
            definitions.append("};")
            yield f"    {name} bits_{at};"
        elif member.is_padding:
            yield f"    padding[{member.items}];"
        elif member.members:
            body = list(_members(member.members, name, definitions))
            kind = "union" if member.union else "struct"
            definitions += [f"{kind} {name} {{", *body, "};"]
            yield f"    {name} {member.name or f'anon_{at}'}{member.dimension(_TO_THE_END)};"
        else:
            kind = f"{'s' if member.signed else 'u'}{8 * member.size}"
            yield f"    {kind} {member.name}{member.dimension(_TO_THE_END)};"
