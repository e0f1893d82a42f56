"""A record as JSON: integers as numbers, arrays of bytes as hexadecimal, meanings beside."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.model import Field, Layout
from xensave.records.flat import element_size, members
from xensave.records.meaning.explain import has_meaning, meaning, parts
from xensave.records.meaning.rows import ROWS
from xensave.records.subject import Subject
from xensave.records.twins import hex64
from xensave.records.values import Value, Values

_WIDE = 8

Json = bool | int | str | bytes | None | list["Json"] | dict[str, "Json"]
"""What `json_pieces` writes: JSON, and bytes that become hexadecimal."""


def record_json(subject: Subject) -> dict[str, Json]:
    """Returns a record as an object, to be written by `json_pieces`.

    Keys: layer, name, type, instance, offset, length, layout, fields, hex (every integer of 64 bits
    again, by field path: jq and JavaScript round such numbers), meanings (by field path), parts
    (what byte arrays hold: name, note, fields, hex, meanings), tail (hexadecimal) and note.
    """
    values = subject.values
    result: dict[str, Json] = {
        "layer": subject.layer,
        "name": subject.name,
        "type": subject.typecode,
        "instance": subject.instance,
        "offset": subject.offset,
        "length": subject.length,
        "layout": subject.layout.id if subject.layout else None,
        **_fields(subject.name, subject.layout, values),
        "parts": [
            {"name": part.name, "note": part.note, **_fields(part.kind, part.layout, part.values)}
            for part in parts(subject.name, values)
        ],
        "tail": subject.tail,
    }
    if subject.note:
        result["note"] = subject.note
    return result


def _fields(kind: str, layout: Layout | None, values: Values) -> dict[str, Json]:
    """Returns fields, and beside them by path what is 64 bits wide and what has a meaning."""
    twins: dict[str, Json] = {}
    meanings: dict[str, Json] = {}
    for field, value, path in _walk(kind, layout.fields if layout else (), values, ""):
        if isinstance(value, int):
            if element_size(field) == _WIDE:
                twins[path] = hex64(value)
            text = meaning(kind, path, value)
        else:
            text = _row_text(field, value)
        if text:
            meanings[path] = text
    return {"fields": _plain(values), "hex": twins, "meanings": meanings}


def _plain(value: Value) -> Json:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _row_text(field: Field, value: Value) -> str:
    if not isinstance(value, dict) or field.type not in ROWS:
        return ""
    label, _, means = ROWS[field.type](value)
    return ": ".join(filter(None, (label, means)))


def _walk(
    kind: str, fields: tuple[Field, ...], values: dict[str, Value], prefix: str
) -> Iterator[tuple[Field, Value, str]]:
    """Yields every struct and integer by its path; arrays of neither use nor meaning are closed."""
    for field, _ in members(fields):
        yield from _walk_value(kind, field, values[field.name], prefix + field.name)


def _walk_value(
    kind: str, field: Field, value: Value, path: str
) -> Iterator[tuple[Field, Value, str]]:
    if isinstance(value, (list, bytes)):
        # Arrays of plain values may be pages long.
        wide = element_size(field) == _WIDE and not isinstance(value, bytes)
        if field.fields or wide or has_meaning(kind, path):
            element = field._replace(dims=field.dims[1:], size=element_size(field))
            for index, item in enumerate(value):
                yield from _walk_value(kind, element, item, f"{path}[{index}]")
        return
    yield field, value, path
    if isinstance(value, dict):
        yield from _walk(kind, field.fields, value, f"{path}.")
