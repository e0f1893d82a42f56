"""A layout as the flat list of its leaves, to compare two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout

_FIXED = re.compile(
    r"(?:const |volatile )*(?:u?int(?:8|16|32|64)_t|u?int64_aligned_t|(?:unsigned |signed )?char)"
)


class Leaf(NamedTuple):
    """A field without fields of its own: `offset` is from the start of the record's struct.

    `size` covers an array, `width` is one element's, `items` how many there are (0: flexible).
    A member of an array of structs stands once, for the first of them: the array's `stride` and
    `repeat` say where the others are. `sheltered` says that the union it lies in has another
    member, of fixed width, that covers it: the layout does not depend on this one.
    """

    path: str
    type: str
    offset: int
    size: int
    width: int
    items: int
    bits: tuple[int, int] | None
    stride: int = 0
    repeat: int = 1
    sheltered: bool = False

    @property
    def end(self) -> int:
        """The offset after the last element."""
        return self.offset + self.size + (self.repeat - 1) * self.stride

    @property
    def fixed(self) -> bool:
        """Is its type of fixed width?"""
        return _FIXED.fullmatch(self.type) is not None


def leaves(layout: Layout) -> list[Leaf]:
    """The leaves of a layout, in the order of the struct."""
    return list(_walk(layout.fields, Leaf("", "", 0, 0, 0, 1, None)))


def _walk(fields: tuple[Field, ...], within: Leaf) -> Iterator[Leaf]:
    for field in fields:
        path = f"{within.path}.{field.name}".strip(".") if field.name else within.path
        items = prod(field.dims) if field.dims else 1
        leaf = Leaf(
            path,
            field.type,
            within.offset + field.offset,
            field.size,
            field.size // items if items else field.size,
            items,
            field.bits,
            within.stride,
            within.repeat,
            within.sheltered,
        )
        if not field.fields:
            yield leaf
        elif field.union:
            yield from _members(field, leaf)
        else:
            yield from _walk(field.fields, _inside(leaf))


def _inside(leaf: Leaf) -> Leaf:
    """What the members of a struct inherit: an array of arrays of structs counts as one array."""
    if leaf.items == 1:
        return leaf
    return leaf._replace(stride=leaf.width, repeat=leaf.items or 1)


def _members(union: Field, leaf: Leaf) -> Iterator[Leaf]:
    for member in union.fields:
        found = list(_walk((member,), _inside(leaf)))
        others = [other for other in union.fields if other is not member]
        for each in found:
            shelter = any(
                not other.fields and _FIXED.fullmatch(other.type) and other.size >= member.size
                for other in others
            )
            yield each._replace(sheltered=each.sheltered or (shelter and not each.fixed))


def is_filler(leaf: Leaf) -> bool:
    """Is this a field that holds nothing: padding or reserved by its name?

    >>> is_filler(Leaf("pad0", "uint32_t", 4, 4, 4, 1, None))
    True
    """
    last = leaf.path.rsplit(".", 1)[-1].strip("_").lower()
    return re.fullmatch(r"(pad(ding)?|rsvd|reserved?|res|unused|spare)_?\d*", last) is not None
