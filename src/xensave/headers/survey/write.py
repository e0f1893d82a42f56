"""Write the catalogue's data files: JSON with a schema, one field or binding a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

from xensave import __version__
from xensave.catalogue.files import SCHEMA
from xensave.catalogue.model import Layout, Release, Space
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
    """Writes index, releases, records, spaces and `more` below `out`; returns how many are new.

    A file that says the same already stays as it is, and goes on naming the commit that it was
    made of; the index always names this one.
    """
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
    return write_files(files, out)


def write_files(files: dict[str, Json], out: Path) -> int:
    """Writes each value as JSON to its path below `out`, where it is new; returns how many."""
    fresh = {name: value for name, value in files.items() if not _is_there(value, out / name)}
    for name, value in fresh.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(value) + "\n", encoding="utf-8")
    return len(fresh)


def _is_there(value: Json, path: Path) -> bool:
    """Tells whether a file, other than the index, differs in nothing but its producer."""
    if path.name == "index.json" or not path.is_file() or not isinstance(value, dict):
        return False
    try:
        there: object = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(there, dict) and {**there, "producer": None} == {**value, "producer": None}


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


_RELEASE = (
    "name", "ref", "commit", "code_max", "entry_size", "check_pass", "stream_write",
    "stream_read", "bindings",
)  # fmt: skip
_LAYOUT = (
    "id", "struct", "size", "align", "flexible", "compat", "releases", "introduced", "fields",
)  # fmt: skip


def _release(release: Release) -> dict[str, Json]:
    return {
        **_members(release, _RELEASE),
        "reservations": [_reservation(reservation) for reservation in release.reservations],
        "variants": [
            {**_plain(variant._replace(bindings=())), "bindings": _json(variant.bindings)}
            for variant in release.variants
        ],
    }


def _reservation(reservation: OwnedRange) -> Json:
    plain = _members(reservation, ("first", "last", "owner", "source"))
    if isinstance(reservation.citation, Citation):
        plain["citation"] = _plain(reservation.citation)
    return plain


def _space(space: Space) -> dict[str, Json]:
    head: dict[str, Json] = {"space": space.name, **_members(space, ("title", "limits"))}
    some = [name for name in ("versions", "retired") if getattr(space, name)]
    return {**head, **_members(space, (*some, "numbers"))}


def _layout(layout: Layout) -> Json:
    value = _members(layout, _LAYOUT)
    if layout.x86_32:
        narrow = _plain(layout.x86_32)
        if narrow["fields"] == value["fields"]:
            del narrow["fields"]
        value["x86_32"] = narrow
    return value


def _members(value: NamedTuple, names: Sequence[str]) -> dict[str, Json]:
    return {name: _json(getattr(value, name)) for name in names}


def _plain(value: NamedTuple) -> dict[str, Json]:
    """Returns a tuple's members by name, without those that stand at their default."""
    defaults = value._field_defaults
    # Fields within fields come last.
    members = sorted(value._asdict().items(), key=lambda member: member[0] == "fields")
    return {
        name: _json(item)
        for name, item in members
        if name not in defaults or item != defaults[name]
    }


def _json(value: object) -> Json:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(cast("NamedTuple", value))
    return list(map(_json, value)) if isinstance(value, tuple) else cast("Json", value)
