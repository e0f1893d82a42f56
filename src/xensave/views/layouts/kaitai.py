"""Layouts as a Kaitai Struct description: a whole HVM context, each record by its number.

A union is a type of instances that all begin at 0 of its own bytes. Members of an anonymous struct
or union are reached through `anon0`, `anon1`, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from xensave.views.layouts.parts import FLEXIBLE, Described, LayoutMember

_HEAD = """\
meta:
  id: xen_hvm_context
  title: HVM context of Xen {release}
  endian: le
  bit-endian: le
seq:
  - id: records
    type: record
    repeat: until
    repeat-until: _.typecode == 0
types:
  record:
    seq:
      - id: typecode
        type: u2
      - id: instance
        type: u2
      - id: length
        type: u4
      - id: body
        size: length
        type:
          switch-on: typecode
          cases:
"""


def render(records: Sequence[Described], release: str) -> str:
    """Returns a .ksy file that kaitai-struct-compiler takes."""
    text = _HEAD.format(release=release)
    text += "".join(f"            {r.binding.typecode}: {_id(r.binding.name)}\n" for r in records)
    for record in records:
        text += "".join(f"  # {line}\n" for line in record.about)
        text += "\n".join(_type(_id(record.binding.name), record.members, union=False)) + "\n"
    return text


def _type(
    name: str, parts: Sequence[LayoutMember], *, union: bool, depth: int = 1
) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}{name}:"
    inner: list[tuple[str, LayoutMember]] = []
    rows = list(_rows(parts, inner))
    yield f"{indent}  " + ("seq: []" if not rows else "instances:" if union else "seq:")
    for ident, row in rows:
        yield f"{indent}    {ident}:" if union else f"{indent}    - id: {ident}"
        yield from (f"{indent}      {word}" for word in (["pos: 0", *row] if union else row))
    if inner:
        yield f"{indent}  types:"
        for inner_name, member in inner:
            yield from _type(inner_name, member.members, union=member.union, depth=depth + 2)


def _rows(
    parts: Sequence[LayoutMember], inner: list[tuple[str, LayoutMember]]
) -> Iterator[tuple[str, list[str]]]:
    pads, anonymous = count(), count()
    for member in parts:
        if member.bits:
            for bit in member.bits:
                ident = _id(bit.name) if bit.name else f"pad{next(pads)}"
                # A single bit would be a boolean.
                yield ident, [f"type: b{bit.width}"]
        elif member.is_padding:
            yield f"pad{next(pads)}", [f"size: {member.items}"]
        elif member.members:
            ident = _id(member.name) if member.name else f"anon{next(anonymous)}"
            inner.append((f"{ident}_t", member))
            yield ident, [f"size: {member.size}", f"type: {ident}_t", *_repeat(member)]
        else:
            kind = f"{'s' if member.signed else 'u'}{member.size}"
            yield _id(member.name), [f"type: {kind}", *_repeat(member)]


def _repeat(member: LayoutMember) -> list[str]:
    if member.items is None:
        return []
    if member.items == FLEXIBLE:
        return ["repeat: eos"]
    return ["repeat: expr", f"repeat-expr: {member.items}"]


def _id(name: str) -> str:
    """A name as Kaitai has them: small letters first, no underscore at the start."""
    ident = name.lower().strip("_")
    return ident if ident[:1].isalpha() else f"n{ident}"
