"""A layout as the flat list of its leaves, to compare two of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.records import flat
from xensave.records.flat import FieldPlace

_FIXED = re.compile(
    r"(?:const |volatile )*(?:u?int(?:8|16|32|64)_t|u?int64_aligned_t|(?:unsigned |signed )?char)"
)
_FILLER = re.compile(
    r"(?:pad(?:ding)?|rsvd|reserved?|res|mbz|unused|spare)(?:_?(?:\d+|zero|mbz|[a-z]))?"
)
_QUALIFIERS = re.compile(r"\b(?:const|volatile|restrict)\b ?")
_UNSIGNED = ("unsigned", "uint", "u8", "u16", "u32", "u64", "char", "_Bool", "bool", "size_t",
             "xen_ulong_t", "domid_t", "enum")  # fmt: skip
_SIGNED = ("int", "signed", "short", "long")


class AbiField(NamedTuple):
    """A field without fields of its own: `offset` is from the start of the record's struct.

    `size` covers an array, `width` is one element's, `items` how many there are (0: flexible).
    A member of an array of structs stands once, for the first of them: the array's `stride` and
    `repeat` say where the others are. `sheltered` says that the union it lies in has another
    member, of fixed width, that covers it: the layout does not depend on this one. `named` is
    false for an unnamed bit-field, `kind` tells how a value is read: "unsigned", "signed", ...;
    `array` is the path of the array of structs around it.
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
    named: bool = True
    kind: str = ""
    array: str = ""

    def __str__(self) -> str:
        bits = f":{self.bits[1]}" if self.bits else ""
        dims = f"[{self.items}]" if self.items != 1 else ""
        return f"{self.type}{dims}{bits}"

    @property
    def start(self) -> int:
        """The first bit of the first element, counted from the start of the struct."""
        return 8 * self.offset + (self.bits[0] if self.bits else 0)

    @property
    def stop(self) -> int:
        """The bit after the last element."""
        return self.start + self.bits[1] if self.bits else 8 * self.end

    @property
    def place(self) -> tuple[int, int, int, int, int]:
        """What two fields share where one took the other's place."""
        return self.start, self.stop, self.width, self.stride, self.repeat

    @property
    def element(self) -> tuple[int, str, int | None]:
        """What must stay of an element: its width, and how its value is read."""
        return self.width, self.kind, self.bits[1] if self.bits else None

    @property
    def shape(self) -> tuple[object, ...]:
        """What must stay of a field wherever it lies."""
        width, kind, bits = self.element
        return (bits or width), kind, self.items, self.repeat, self.stride

    def overlaps(self, other: AbiField) -> bool:
        """Does the two share a bit? Of arrays of structs, the first elements are compared."""
        return self.start < other.stop and other.start < self.stop

    @property
    def end(self) -> int:
        """The offset after the last element."""
        return self.offset + self.size + (self.repeat - 1) * self.stride

    @property
    def fixed(self) -> bool:
        """Whether its type is of fixed width."""
        return _FIXED.fullmatch(self.type) is not None


def abi_fields(layout: Layout, types: Mapping[str, str] | None = None) -> list[AbiField]:
    """Returns the leaves of a layout, in the order of the struct.

    `types` are the canonical types by path where a compiler told them.
    """
    if types:
        return [_leaf(place, types.get(place.path)) for place in flat.leaves(layout.fields)]
    return list(_as_written(layout.fields))


@lru_cache(maxsize=512)
def _as_written(fields: tuple[Field, ...]) -> tuple[AbiField, ...]:
    return tuple(_leaf(place, None) for place in flat.leaves(fields))


def _extent(fields: tuple[Field, ...]) -> int:
    """The bytes of an element of an array that has no length: up to the end of its last field."""
    return max((field.offset + field.size for field in fields), default=0)


def _leaf(place: FieldPlace, canonical: str | None) -> AbiField:
    field = place.field
    items = prod(field.dims)
    width = field.size // items if items else field.size
    # An array of arrays of structs counts as one array.
    array = next((parent for parent in reversed(place.parents) if prod(parent.dims) != 1), None)
    repeat = (prod(array.dims) or 1) if array else 1
    stride = (array.size // repeat or _extent(array.fields)) if array else 0
    leaf = AbiField(
        place.path, field.type, place.offset, field.size, width, items, field.bits, stride, repeat
    )
    names = [parent.name for parent in place.parents]
    within = names[: place.parents.index(array) + 1] if array else []
    return leaf._replace(
        array=".".join(name for name in within if name),
        sheltered=not leaf.fixed and _sheltered(place),
        named=bool(field.name),
        kind=_kind(canonical or field.type),
    )


def _kind(name: str) -> str:
    """How a value of a type is read. Plain char counts as unsigned, as bytes are.

    >>> _kind("const unsigned long long"), _kind("int8_t"), _kind("double")
    ('unsigned', 'signed', 'double')
    """
    name = _QUALIFIERS.sub("", name).strip()
    if name.startswith(_UNSIGNED):
        return "unsigned"
    return "signed" if name.startswith(_SIGNED) else name


def _sheltered(place: FieldPlace) -> bool:
    """Tells whether another member, of fixed width, covers this one in a union around it."""
    chain = (*place.parents, place.field)
    return any(
        not other.fields and _FIXED.fullmatch(other.type) and other.size >= member.size
        for union, member in pairwise(chain)
        if union.union
        for other in union.fields
        if other is not member
    )


def is_filler(leaf: AbiField) -> bool:
    """Tells whether this is a field that holds nothing: padding or reserved by its name.

    >>> is_filler(AbiField("pad0", "uint32_t", 4, 4, 4, 1, None))
    True
    """
    last = leaf.path.rsplit(".", 1)[-1].strip("_").lower()
    return not leaf.named or _FILLER.fullmatch(last) is not None
