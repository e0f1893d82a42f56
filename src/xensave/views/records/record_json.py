"""A record as JSON: integers as numbers, arrays of bytes as hexadecimal, meanings beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xensave.catalogue.model import Field
from xensave.records.flat import element_size, members, reached
from xensave.records.meaning.explain import has_meaning, meaning, parts
from xensave.records.meaning.rows import ROWS
from xensave.records.subject import Subject
from xensave.records.twins import hex64
from xensave.records.values import Value

_WIDE = 8

Json = bool | int | str | bytes | None | Sequence["Json"] | Mapping[str, "Json"]
"""What `json_pieces` writes: JSON, and bytes that become hexadecimal."""


def record_json(subject: Subject) -> dict[str, Json]:
    """Returns a record as an object, to be written by `json_pieces`.

    Keys: layer, name, type, instance, offset, length, layout, fields, hex (every integer of 64 bits
    again, by field path: jq and JavaScript round such numbers), meanings (by field path), parts
    (what byte arrays hold: name, note, fields, hex, meanings), tail (hexadecimal) and note. Fields
    that a short body does not reach are left out.
    """
    values = subject.reached
    result: dict[str, Json] = {
        "layer": subject.layer,
        "name": subject.name,
        "type": subject.typecode,
        "instance": subject.instance,
        "offset": subject.offset,
        "length": subject.length,
        "layout": subject.layout.id if subject.layout else None,
        **_contents(subject.name, subject.fields, values),
        "parts": [
            {"name": part.name, "note": part.note, **_contents(part.kind, fields, part.values)}
            for part in parts(subject.name, values)
            if (fields := reached(part.layout.fields, len(subject.body) - part.offset))
        ],
        "tail": subject.tail,
    }
    if subject.note:
        result["note"] = subject.note
    return result


def _contents(kind: str, fields: tuple[Field, ...], values: dict[str, Value]) -> dict[str, Json]:
    """Returns some fields, every one of 64 bits in hexadecimal, and what they mean."""
    twins: dict[str, Json] = {}
    meanings: dict[str, Json] = {}
    _widen(fields, values, "", twins)
    _of_fields(kind, fields, values, "", meanings)
    named = {field.name: values[field.name] for field, _ in members(fields)}
    return {"fields": named, "hex": twins, "meanings": meanings}


def _widen(
    fields: tuple[Field, ...], values: dict[str, Value], prefix: str, into: dict[str, Json]
) -> None:
    _twin_each(_with_wide(fields), values, prefix, into)


def _twin_each(
    wide: tuple[Field, ...], values: dict[str, Value], prefix: str, into: dict[str, Json]
) -> None:
    for field in wide:
        _twin(field, values[field.name], prefix + field.name, into)


def _with_wide(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(
        field for field, _ in members(fields) if field.fields or element_size(field) == _WIDE
    )


def _twin(field: Field, value: Value, path: str, into: dict[str, Json]) -> None:
    if isinstance(value, dict):
        _widen(field.fields, value, f"{path}.", into)
    elif isinstance(value, list):
        # Asked once of an array, not of each element.
        wide = _with_wide(field.fields)
        for index, item in enumerate(value):
            if isinstance(item, dict):
                _twin_each(wide, item, f"{path}[{index}].", into)
            else:
                _twin(field, item, f"{path}[{index}]", into)
    elif isinstance(value, int):
        into[path] = hex64(value)


def _of_fields(
    kind: str,
    fields: tuple[Field, ...],
    values: dict[str, Value],
    prefix: str,
    into: dict[str, Json],
) -> None:
    for field, _ in members(fields):
        _of_value(kind, field, values[field.name], prefix + field.name, into)


def _of_value(kind: str, field: Field, value: Value, path: str, into: dict[str, Json]) -> None:
    if isinstance(value, dict):
        if field.type in ROWS:
            label, _, means = ROWS[field.type](value)
            if text := ": ".join(filter(None, (label, means))):
                into[path] = text
        _of_fields(kind, field.fields, value, f"{path}.", into)
    elif isinstance(value, (list, bytes)):
        # Arrays of plain values may be pages long.
        if not field.fields and not has_meaning(kind, path):
            return
        element = field._replace(dims=field.dims[1:], size=element_size(field))
        if not element.dims and not _speaks(kind, field.fields, path):
            element = element._replace(fields=())
        for index, item in enumerate(value):
            _of_value(kind, element, item, f"{path}[{index}]", into)
    else:
        means = meaning(kind, path, value)
        if means:
            into[path] = means


def _speaks(kind: str, fields: tuple[Field, ...], path: str) -> bool:
    """Whether any field within an element means more than its number."""
    return any(
        field.type in ROWS
        or has_meaning(kind, f"{path}.{field.name}")
        or _speaks(kind, field.fields, f"{path}.{field.name}")
        for field, _ in members(fields)
    )
