"""A layout of the catalogue, compiled once into nodes that read and write its bytes."""

from __future__ import annotations

from xensave.catalogue.model import Field, Layout
from xensave.records.compiled.nodes import Flexible, StructMember, StructNode, array_of
from xensave.records.compiled.scalars import Bits, Integer, Node, Octets
from xensave.records.flat import element_size, members

# As many as no catalogue holds; a caller that makes layouts without end does not leak.
_CACHE_LIMIT = 4096
_cache: dict[int, tuple[Layout, StructNode]] = {}

_SIGNED = ("int", "signed", "long", "short", "s8", "s16", "s32", "s64", "__s", "__int")


def compiled(layout: Layout) -> StructNode:
    """Returns the node of a whole layout; the same layout is compiled once."""
    entry = _cache.get(id(layout))
    if entry is not None and entry[0] is layout:
        return entry[1]
    if len(_cache) >= _CACHE_LIMIT:
        _cache.clear()
    node = StructNode(_members(layout.fields), layout.size)
    _cache[id(layout)] = (layout, node)
    return node


def is_signed(field: Field) -> bool:
    """Tells whether the type's name says that its integers are signed (plain char is not)."""
    return field.type.removeprefix("const ").startswith(_SIGNED)


def _members(fields: tuple[Field, ...]) -> tuple[StructMember, ...]:
    return tuple(StructMember(field.name, at, _node(field)) for field, at in members(fields))


def _node(field: Field) -> Node:
    if field.bits is not None:
        return Bits(field.size, *field.bits)
    node = _element(field)
    for count in reversed(field.dims):
        if count == 0:
            return Flexible(node)
        node = array_of(node, count)
    return node


def _element(field: Field) -> Node:
    size = element_size(field)
    if field.fields:
        return StructNode(_members(field.fields), size)
    if size in (1, 2, 4, 8):
        return Integer(size, is_signed(field))
    return Octets(size)
