"""Write the catalogue's data files: JSON with a schema, one field or binding a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from xensave import __version__
from xensave.catalogue.model import SCHEMA, Field, Layout, Release, Space
from xensave.catalogue.owned import Citation, OwnedRange
from xensave.headers.survey.assemble import Catalogue

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None


def write_catalogue(  # noqa: PLR0917
    catalogue: Catalogue,
    spaces: list[Space],
    out: Path,
    source: str,
    aliases: dict[str, str],
    more: dict[str, dict[str, Json]],
) -> int:
    """Writes index, releases, records, spaces and `more` below `out`; returns how many files."""
    head: dict[str, Json] = {
        "schema": SCHEMA,
        "producer": {"name": "xensave catalogue build", "version": __version__, "source": source},
    }
    files: dict[str, Json] = {"index.json": {**head, **_index(catalogue, spaces, aliases)}}
    for release in catalogue.releases:
        files[f"releases/{release.name}.json"] = {**head, **_release(release)}
    for record in dict.fromkeys(layout.record for layout in catalogue.layouts):
        layouts = [_layout(layout) for layout in catalogue.layouts if layout.record == record]
        files[f"records/{record}.json"] = {**head, "record": record, "layouts": list(layouts)}
    for space in spaces:
        files[f"spaces/{space.name}.json"] = {**head, **_space(space)}
    files.update({name: {**head, **value} for name, value in more.items()})
    write_files(files, out)
    return len(files)


def write_files(files: dict[str, Json], out: Path) -> None:
    """Writes each value as JSON to its path below `out`."""
    for name, value in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(value) + "\n", encoding="utf-8")


def render(value: Json, indent: int = 0) -> str:
    """Returns JSON where whatever holds only plain values, or short lists of them, is one line.

    >>> print(render({"name": "rax", "bits": [0, 4], "of": [{"a": 1}, {"b": 2}]}))
    {
     "name": "rax",
     "bits": [0, 4],
     "of": [
      {"a": 1},
      {"b": 2}
     ]
    }
    """
    if not _is_nested(value):
        return json.dumps(value, ensure_ascii=False)
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [
            f"{pad}{json.dumps(key)}: {render(item, indent + 1)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    rows = [pad + render(item, indent + 1) for item in value] if isinstance(value, list) else []
    return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"


def _is_nested(value: Json) -> bool:
    if isinstance(value, dict):
        return (
            any(
                isinstance(item, dict)
                or (isinstance(item, list) and any(isinstance(part, (dict, list)) for part in item))
                for item in value.values()
            )
            or len(value) > 14
        )
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _index(catalogue: Catalogue, spaces: list[Space], aliases: dict[str, str]) -> dict[str, Json]:
    records: dict[str, Json] = {}
    for layout in catalogue.layouts:
        users = [
            (release.name, binding.typecode)
            for release in catalogue.releases
            for binding in release.bindings
            if binding.name == layout.record
        ]
        entry: dict[str, Json] = {
            "typecode": users[-1][1],
            "first": users[0][0],
            "last": users[-1][0],
            "layouts": [
                [other.id, other.size, other.compat]
                for other in catalogue.layouts
                if other.record == layout.record
            ],
        }
        records[layout.record] = entry
    return {
        "releases": [release.name for release in catalogue.releases],
        "aliases": dict(aliases),
        "records": records,
        "spaces": [space.name for space in spaces],
    }


def _release(release: Release) -> dict[str, Json]:
    return {
        "name": release.name,
        "ref": release.ref,
        "commit": release.commit,
        "code_max": release.code_max,
        "entry_size": release.entry_size,
        "check_pass": release.check_pass,
        "stream_write": release.stream_write,
        "stream_read": list(release.stream_read),
        "bindings": [_plain(binding) for binding in release.bindings],
        "reservations": [_reservation(reservation) for reservation in release.reservations],
        "variants": [
            {
                **_plain(variant._replace(bindings=())),
                "bindings": [_plain(binding) for binding in variant.bindings],
            }
            for variant in release.variants
        ],
    }


def _reservation(reservation: OwnedRange) -> Json:
    plain: dict[str, Json] = {
        "first": reservation.first,
        "last": reservation.last,
        "owner": reservation.owner,
        "source": reservation.source,
    }
    if isinstance(reservation.citation, Citation):
        plain["citation"] = _plain(reservation.citation)
    return plain


def _space(space: Space) -> dict[str, Json]:
    return {
        "space": space.name,
        "title": space.title,
        "limits": [list(limit) for limit in space.limits],
        **({"versions": [list(item) for item in space.versions]} if space.versions else {}),
        **({"retired": [list(item) for item in space.retired]} if space.retired else {}),
        "numbers": [_plain(number) for number in space.numbers],
    }


def _layout(layout: Layout) -> Json:
    value: dict[str, Json] = {
        "id": layout.id,
        "struct": layout.struct,
        "size": layout.size,
        "align": layout.align,
        "flexible": layout.flexible,
        "compat": layout.compat,
        "releases": list(layout.releases),
        "introduced": _plain(layout.introduced) if layout.introduced else None,
        "fields": [_field(field) for field in layout.fields],
    }
    if layout.x86_32:
        shape = layout.x86_32
        narrow: dict[str, Json] = {"size": shape.size, "align": shape.align}
        if shape.fields != layout.fields:
            narrow["fields"] = [_field(field) for field in shape.fields]
        value["x86_32"] = narrow
    return value


def _field(field: Field) -> Json:
    value = _plain(field._replace(fields=()))
    if field.fields:
        value["fields"] = [_field(member) for member in field.fields]
    return value


def _plain(value: NamedTuple) -> dict[str, Json]:
    """Returns a tuple's members by name, without those that stand at their default."""
    defaults = value._field_defaults
    return {
        name: list(item) if isinstance(item, tuple) else item
        for name, item in value._asdict().items()
        if name not in defaults or item != defaults[name]
    }
