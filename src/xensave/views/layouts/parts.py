"""A layout as members in order, padding and unused bits written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import NamedTuple

from xensave.catalogue.model import Binding, Field, Layout
from xensave.records.flat import element_size

# A flexible array has as many elements as the body holds.
FLEXIBLE = 0
_UNITS = (8, 16, 32, 64)


class BitRun(NamedTuple):
    """Bits of a unit, from the lowest up; those of no field have no name."""

    name: str
    width: int


class LayoutMember(NamedTuple):
    """A member: a number, a struct or union, or a unit of bit-fields.

    `size` is one element's, `items` None where it is no array. Padding has no name and no bits.
    """

    name: str
    size: int
    items: int | None = None
    signed: bool = False
    members: tuple[LayoutMember, ...] = ()
    union: bool = False
    bits: tuple[BitRun, ...] = ()
    field: Field | None = None

    @property
    def is_padding(self) -> bool:
        """Whether no field lies here."""
        return self.field is None and not self.bits

    def dimension(self, flexible: str) -> str:
        """Returns the brackets behind its name; `flexible` are those of an array without an end."""
        if self.items is None:
            return ""
        return flexible if self.items == FLEXIBLE else f"[{self.items}]"


class Described(NamedTuple):
    """A record of a release: what binds it, and its members."""

    layout: Layout
    binding: Binding
    members: tuple[LayoutMember, ...]

    @property
    def about(self) -> list[str]:
        """What to say of it in a comment: whose number it is, its size, the commit it came by."""
        more = " and what follows" if self.layout.flexible else ""
        lines = [
            f"{self.binding.name}: HVM save record {self.binding.typecode} of Xen, "
            f"per {self.binding.kind}, {self.layout.size} bytes{more}"
        ]
        if self.layout.introduced:
            cited = self.layout.introduced
            lines.append(f'layout {self.layout.id}: {cited.commit} "{cited.subject}"')
        return lines


def described(layout: Layout, binding: Binding) -> Described:
    """Returns a record with its members."""
    return Described(layout, binding, parts(layout.fields, layout.size))


def parts(fields: Iterable[Field], size: int, *, union: bool = False) -> tuple[LayoutMember, ...]:
    """Returns the members of a struct of `size` bytes, which they fill; of a union each alone.

    >>> parts((Field("a", "uint8_t", 0, 1), Field("b", "uint32_t", 4, 4)), 8)[1][:3]
    ('', 1, 3)
    """
    if union:
        return tuple(_member(field) for field in fields)
    return tuple(_filled(list(fields), size))


def _filled(fields: list[Field], size: int) -> Iterator[LayoutMember]:
    end = 0
    at = 0
    while at < len(fields):
        field = fields[at]
        if field.bits is None:
            yield from _padding(field.offset - end)
            yield _member(field)
            end = field.offset + field.size
            at += 1
            continue
        run = at
        while run < len(fields) and fields[run].bits is not None:
            run += 1
        start = min(first // 8 for first, _, _ in map(_span, fields[at:run]))
        yield from _padding(start - end)
        units = list(_units(fields[at:run], start))
        yield from units
        end = start + sum(unit.size for unit in units)
        at = run
    yield from _padding(size - end)


def _padding(size: int) -> Iterator[LayoutMember]:
    if size > 0:
        yield LayoutMember("", 1, size)


def _member(field: Field) -> LayoutMember:
    size = element_size(field)
    items = prod(field.dims) if field.dims else None
    members = parts(field.fields, size, union=field.union) if field.fields else ()
    signed = not field.type.startswith(("u", "char", "bool")) and not field.fields
    return LayoutMember(field.name, size, items, signed, members, field.union, (), field)


def _span(field: Field) -> tuple[int, int, str]:
    shift, width = field.bits or (0, 8 * field.size)
    return field.offset * 8 + shift, width, field.name


def _units(fields: list[Field], start: int) -> Iterator[LayoutMember]:
    """Bit-fields as units of 1, 2, 4 or 8 bytes that no field crosses: the fewest."""
    bits: list[BitRun] = []
    at = start * 8
    for first, width, name in sorted(map(_span, fields)):
        if first > at:
            bits.append(BitRun("", first - at))
        bits.append(BitRun(name, width))
        at = first + width
    if at % 8:
        bits.append(BitRun("", 8 - at % 8))
    unit: list[BitRun] = []
    whole = sum(bit.width for bit in bits) in _UNITS
    for bit in bits:
        unit.append(bit)
        if not whole and sum(each.width for each in unit) in _UNITS:
            yield _unit(unit)
            unit = []
    if unit:
        yield _unit(unit)


def _unit(bits: list[BitRun]) -> LayoutMember:
    width = sum(bit.width for bit in bits)
    return LayoutMember("", width // 8, bits=tuple(bits))


def declarations(
    parts: Sequence[LayoutMember],
    pads: Iterator[int],
    *,
    flexible: str,
    packed: str = "",
    unnamed_bits: bool = True,
    depth: int = 1,
) -> Iterator[str]:
    """Yields members as C declares them; `pads` numbers what has no name.

    `packed` stands behind a struct's brace. Without `unnamed_bits` every bit-field has a name.
    """
    indent = "    " * depth
    for member in parts:
        if member.bits:
            width = next(width for width in _UNITS if width >= 8 * member.size)
            for bit in member.bits:
                name = bit.name or ("" if unnamed_bits else f"_pad{next(pads)}")
                yield f"{indent}uint{width}_t {name} : {bit.width};"
        elif member.is_padding:
            yield f"{indent}uint8_t _pad{next(pads)}[{member.items}];"
        elif member.members:
            yield f"{indent}{'union' if member.union else 'struct'} {{"
            yield from declarations(
                member.members,
                pads,
                flexible=flexible,
                packed=packed,
                unnamed_bits=unnamed_bits,
                depth=depth + 1,
            )
            name = f" {member.name}{member.dimension(flexible)}" if member.name else ""
            yield f"{indent}}}{packed}{name};"
        else:
            kind = f"{'int' if member.signed else 'uint'}{8 * member.size}_t"
            yield f"{indent}{kind} {member.name}{member.dimension(flexible)};"
