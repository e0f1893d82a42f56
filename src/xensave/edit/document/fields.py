"""A record's body as JSON by its layout, and back, bit for bit.

Integers that a double cannot hold are written as text in hexadecimal, arrays of bytes in
hexadecimal. A union is written as its first member. What no field covers comes back as zero; a
body in which it is not zero is written a second time as it is (`raw`), and the fields go on top.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.edit.document.members import Json, Members, as_list, as_number, as_octets
from xensave.errors import Malformed, UsageError
from xensave.records.codec import decode_reached, encode, tail
from xensave.records.flat import element_size, members, reached, written, written_inside
from xensave.records.values import Value, Values

EXACT = 1 << 53
"""Integers up to here are the same in every reader of JSON."""

_HEXADECIMAL = re.compile("0x[0-9a-f]{1,16}")


def body_json(layout: Layout, body: bytes) -> dict[str, Json]:
    """Returns a body as members: `layout`, `fields`, and where needed `length`, `tail`, `raw`."""
    values = decode_reached(layout, body)
    # Of a short body no more is written than it has: the rest comes back as zero.
    fields = reached(layout.fields, len(body))
    result: dict[str, Json] = {"layout": layout.id, "fields": _to_json(fields, values)}
    if len(body) < layout.size:
        result["length"] = len(body)
    rest = tail(layout, body)
    if rest:
        result["tail"] = rest
    if body_bytes(layout, Members(result, "")) != body:
        result["raw"] = body
    return result


def body_bytes(layout: Layout, source: Members) -> bytes:
    """Returns the body that such members describe. Raises Malformed, naming the member."""
    fields = source.members("fields")
    raw = source.octets("raw", b"")
    base = raw or bytes(layout.size)
    values = Values(_from_json(layout.fields, fields), base)
    try:
        body = encode(layout, values)
    except UsageError as error:
        raise Malformed(error.message, path=fields.place) from error
    if raw:
        return body
    length = source.number("length", len(body))
    return body[:length] + source.octets("tail", b"")


def number_json(value: int) -> Json:
    """Returns an integer as JSON: a number, or text where a double would round it.

    >>> number_json(12), number_json(0xFFFFFFFF8122D763)
    (12, '0xffffffff8122d763')
    """
    return value if abs(value) <= EXACT else hex(value)


def _to_json(fields: tuple[Field, ...], values: dict[str, Value]) -> dict[str, Json]:
    return _each_json(written(fields), values)


def _each_json(fields: list[Field], values: dict[str, Value]) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for field in fields:
        name = field.name
        if name in values:
            value = values[name]
            # Most are small numbers, of which an array may have many: nothing is called for them.
            if isinstance(value, int) and -EXACT <= value <= EXACT:
                result[name] = value
            else:
                result[name] = _value_json(field, value)
    return result


def _value_json(field: Field, value: Value) -> Json:
    if isinstance(value, dict):
        return _each_json(written_inside(field), value)
    if isinstance(value, list):
        # Of an array of structs what is written is looked up once.
        inside = written_inside(field)
        return [
            _each_json(inside, item) if isinstance(item, dict) else _value_json(field, item)
            for item in value
        ]
    return value if isinstance(value, bytes) else number_json(value)


def _from_json(fields: tuple[Field, ...], source: Members) -> dict[str, Value]:
    return _each_value(_known(fields), source)


class _Known(NamedTuple):
    """The members that an object may have, and which of them are integers."""

    fields: dict[str, Field]
    integers: frozenset[str]


def _known(fields: tuple[Field, ...]) -> _Known:
    known = {field.name: field for field, _ in members(fields)}
    integers = (name for name, field in known.items() if _is_integer(field))
    return _Known(known, frozenset(integers))


def _is_integer(field: Field) -> bool:
    whole = field.bits is not None or field.size in (1, 2, 4, 8)
    return whole and not field.dims and not field.fields


def _integers(known: _Known, item: object) -> dict[str, Value] | None:
    """Returns an object of integers alone; None for any other, which is read member by member."""
    if not isinstance(item, dict) or not known.integers.issuperset(item):
        return None
    result: dict[str, Value] = {}
    for name, number in item.items():
        if type(number) is int:
            result[name] = number
        elif isinstance(number, str) and _HEXADECIMAL.fullmatch(number):
            result[name] = int(number, 16)
        else:
            return None
    return result


def _each_value(known: _Known, source: Members) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for name, item in source.items():
        if name not in known.fields:
            raise Malformed(f"there is no field {name!r}", path=source.place)
        result[name] = _value(known.fields[name], item, f"{source.place}.{name}")
    return result


def _value(field: Field, item: object, place: str) -> Value:
    if field.dims:
        element = field._replace(dims=field.dims[1:], size=element_size(field))
        plain = len(field.dims) == 1 and not field.fields
        if plain and element.size == 1 and isinstance(item, str | bytes):
            return as_octets(item, place)
        if element.fields and not element.dims:
            known = _known(element.fields)
            return [
                numbers
                if (numbers := _integers(known, each)) is not None
                else _each_value(known, Members(each, f"{place}[{index}]"))
                for index, each in enumerate(as_list(item, place))
            ]
        return [
            _value(element, each, f"{place}[{index}]")
            for index, each in enumerate(as_list(item, place))
        ]
    if field.fields:
        return _from_json(field.fields, Members(item, place))
    if field.bits is None and field.size not in (1, 2, 4, 8):
        return as_octets(item, place)
    return as_number(item, place)
