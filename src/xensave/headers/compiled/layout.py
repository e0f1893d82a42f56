"""A C struct, as libclang lays it out, to a Layout of the catalogue."""

from __future__ import annotations

from xensave.catalogue.model import Field, Layout
from xensave.errors import Malformed
from xensave.headers.compiled.cindex import (
    ARRAYS,
    ELABORATED_TYPE,
    FIXED_ARRAY,
    RECORD_TYPE,
    UNION,
    Cursor,
    Type,
)


def layout_of(record: str, type_: Type, *, open_ended: bool = False) -> Layout:
    """Return the Layout of a struct type. `open_ended` says that data may follow the struct."""
    canonical = type_.get_canonical()
    if canonical.kind != RECORD_TYPE or canonical.get_size() < 0:
        raise Malformed(f"{type_.spelling!r} is not a complete struct", record=record)
    fields = _fields(canonical)
    return Layout(
        record=record,
        id="",
        struct=_type_name(type_).removeprefix("struct "),
        size=canonical.get_size(),
        align=canonical.get_align(),
        fields=fields,
        flexible=open_ended or _ends_open(fields),
    )


def _fields(type_: Type) -> tuple[Field, ...]:
    return tuple(_field(cursor) for cursor in type_.get_fields())


def _field(cursor: Cursor) -> Field:
    dims, element = _dimensions(cursor.type.get_canonical(), cursor.type)
    canonical = element.get_canonical()
    nested = _fields(canonical) if canonical.kind == RECORD_TYPE else ()
    union = canonical.get_declaration().kind == UNION
    # libclang calls a named member of an unnamed type anonymous too; its spelling tells.
    anonymous = not cursor.spelling.isidentifier()
    size = max(cursor.type.get_size(), 0)
    bit_offset = cursor.get_field_offsetof()
    bits = None
    offset = bit_offset // 8
    if cursor.is_bitfield():
        offset, size, bits = _bit_storage(bit_offset, cursor.get_bitfield_width(), size)
    return Field(
        name="" if anonymous else cursor.spelling,
        type=_type_name(element),
        offset=offset,
        size=size,
        dims=dims,
        bits=bits,
        fields=nested,
        union=union and bool(nested),
    )


def _bit_storage(offset: int, width: int, size: int) -> tuple[int, int, tuple[int, int]]:
    """Where a bit-field is read: the aligned integer of its declared type that holds it.

    gcc and clang lay bit-fields of different types side by side, so the declared type's unit may
    not be the one that began the run: it is the naturally aligned one around the bits.
    """
    unit = size * 8
    start = offset - offset % unit
    return start // 8, size, (offset - start, width)


def _dimensions(canonical: Type, written: Type) -> tuple[tuple[int, ...], Type]:
    dims: list[int] = []
    while canonical.kind in ARRAYS:
        dims.append(max(canonical.element_count, 0) if canonical.kind == FIXED_ARRAY else 0)
        written = _element(written)
        canonical = written.get_canonical()
    return tuple(dims), written


def _element(type_: Type) -> Type:
    if type_.kind == ELABORATED_TYPE:
        type_ = type_.get_named_type()
    if type_.kind not in ARRAYS:
        type_ = type_.get_canonical()
    return type_.element_type


def _type_name(type_: Type) -> str:
    declaration = type_.get_canonical().get_declaration()
    kind = "union" if declaration.kind == UNION else "struct"
    if "(unnamed" in type_.spelling or "(anonymous" in type_.spelling:
        return kind
    return str(type_.spelling)


def _ends_open(fields: tuple[Field, ...]) -> bool:
    if not fields:
        return False
    last = fields[-1]
    if last.dims:
        return last.dims[0] == 0
    return _ends_open(last.fields) and not last.union
