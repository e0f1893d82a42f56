"""Layouts that no HVM save header declares, written in one line each.

A libxc record's body, a register page or a state component is decoded by the same codec as a
save record; here its struct is spelled out.

>>> entry = overlay("entry", "index:u32 flags:u32 value:u64")
>>> table = overlay("table", "count:u32 rsvd:u32 entries:entry[]", entry)
>>> table.size, table.flexible, [field.offset for field in table.fields]
(8, True, [0, 4, 8])
"""

from __future__ import annotations

import re

from xensave.catalogue.model import Field, Layout

_SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
_WORD = re.compile(r"(\w+):(\w+)((?:\[\d*\])*)(?:@(\w+))?$")


def overlay(name: str, spec: str, *types: Layout, size: int = 0) -> Layout:
    """Makes a layout of words "name:type[count]@offset", aligned as a C compiler would.

    The types are u8, u16, u32, u64 and the names of the layouts given; `[]` is a flexible array.
    `size` is the least size, for a page with a hole at its end. Raises ValueError for a word that
    is no field, or a type that is not known.
    """
    known = {layout.struct: layout for layout in types}
    fields: list[Field] = []
    end, widest = 0, 1
    for word in spec.split():
        match = _WORD.match(word)
        if match is None:
            raise ValueError(f"{word!r} is no field")
        member, kind, counts, place = match.groups()
        inner = known.get(kind)
        if inner is None and kind not in _SIZES:
            raise ValueError(f"{word!r}: no type {kind}; there are {', '.join([*_SIZES, *known])}")
        unit, align = (inner.size, inner.align) if inner else (_SIZES[kind], _SIZES[kind])
        dims = tuple(int(count or 0) for count in re.findall(r"\[(\d*)\]", counts))
        offset = int(place, 0) if place else -(-end // align) * align
        total = unit
        for count in dims:
            total *= count
        typename = f"struct {kind}" if inner else f"uint{8 * unit}_t"
        members = inner.fields if inner else ()
        fields.append(Field(member, typename, offset, total, dims, None, members))
        end, widest = offset + total, max(widest, align)
    whole = max(size, -(-end // widest) * widest)
    flexible = bool(fields) and fields[-1].dims[:1] == (0,)
    return Layout(name, name, name, whole, widest, tuple(fields), flexible=flexible)
