"""A layout of the catalogue, compiled once into nodes that read and write its bytes."""

from __future__ import annotations

from math import prod

from xensave.catalogue.model import Field, Layout
from xensave.records.nodes import Array, Flexible, Member, Struct
from xensave.records.scalars import Bits, Integer, Integers, Node, Octets

# As many as no catalogue holds; a caller that makes layouts without end does not leak.
_CACHE_LIMIT = 4096
_cache: dict[int, tuple[Layout, Struct]] = {}

_SIGNED = ("int", "signed", "long", "short", "s8", "s16", "s32", "s64", "__s", "__int")
_WORDS = {"8": 1, "16": 2, "32": 4, "64": 8, "char": 1, "bool": 1, "short": 2, "long": 8}


def compiled(layout: Layout) -> Struct:
    """Return the node of a whole layout; the same layout is compiled once."""
    entry = _cache.get(id(layout))
    if entry is not None and entry[0] is layout:
        return entry[1]
    if len(_cache) >= _CACHE_LIMIT:
        _cache.clear()
    node = Struct(_members(layout.fields, 0), layout.size)
    _cache[id(layout)] = (layout, node)
    return node


def element_size(field: Field) -> int:
    """Return the size in bytes of one element of a field; of a scalar, its own size."""
    count = prod(field.dims)
    if count:
        return field.size // count
    if not field.fields:
        return next((size for word, size in _WORDS.items() if word in field.type), 4)
    end = max((member.offset + member.size for member in field.fields), default=0)
    align = max((_alignment(member) for member in field.fields), default=1)
    return -(-end // align) * align


def is_signed(field: Field) -> bool:
    """Whether the type's name says that its integers are signed (plain char counts as not)."""
    return field.type.removeprefix("const ").startswith(_SIGNED)


def _alignment(field: Field) -> int:
    if field.fields:
        return max(_alignment(member) for member in field.fields)
    return element_size(field)


def _members(fields: tuple[Field, ...], base: int) -> tuple[Member, ...]:
    members: list[Member] = []
    for field in fields:
        if field.name:
            members.append(Member(field.name, base + field.offset, _node(field)))
        elif field.fields:
            members += _members(field.fields, base + field.offset)
    return tuple(members)


def _node(field: Field) -> Node:
    if field.bits is not None:
        return Bits(field.size, *field.bits)
    node = _element(field)
    for count in reversed(field.dims):
        if count == 0:
            return Flexible(node)
        node = _array(node, count)
    return node


def _element(field: Field) -> Node:
    size = element_size(field)
    if field.fields:
        return Struct(_members(field.fields, 0), size)
    if size in (1, 2, 4, 8):
        return Integer(size, is_signed(field))
    return Octets(size)


def _array(element: Node, count: int) -> Node:
    if isinstance(element, Integer):
        return Octets(count) if element.size == 1 else Integers(element, count)
    return Array(element, count)
