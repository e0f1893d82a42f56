"""A layout as the flat list of its leaves, to compare two of them."""

from __future__ import annotations

import re
from itertools import pairwise
from math import prod
from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.records import flat
from xensave.records.flat import Place

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
    return [_leaf(place) for place in flat.leaves(layout.fields)]


def _leaf(place: Place) -> Leaf:
    field = place.field
    items = prod(field.dims)
    width = field.size // items if items else field.size
    # An array of arrays of structs counts as one array.
    array = next((parent for parent in reversed(place.parents) if prod(parent.dims) != 1), None)
    repeat = (prod(array.dims) or 1) if array else 1
    stride = array.size // repeat if array else 0
    leaf = Leaf(
        place.path, field.type, place.offset, field.size, width, items, field.bits, stride, repeat
    )
    return leaf._replace(sheltered=not leaf.fixed and _sheltered(place))


def _sheltered(place: Place) -> bool:
    """Does another member, of fixed width, cover this one in a union around it?"""
    chain = (*place.parents, place.field)
    return any(
        not other.fields and _FIXED.fullmatch(other.type) and other.size >= member.size
        for union, member in pairwise(chain)
        if union.union
        for other in union.fields
        if other is not member
    )


def is_filler(leaf: Leaf) -> bool:
    """Is this a field that holds nothing: padding or reserved by its name?

    >>> is_filler(Leaf("pad0", "uint32_t", 4, 4, 4, 1, None))
    True
    """
    last = leaf.path.rsplit(".", 1)[-1].strip("_").lower()
    return re.fullmatch(r"(pad(ding)?|rsvd|reserved?|res|unused|spare)_?\d*", last) is not None
