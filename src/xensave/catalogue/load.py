"""Load the catalogue's data files: lazily, each once.

A release costs one small file, a record's layouts another; the index tells which there are.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING

from xensave.catalogue.model import (
    SCHEMA,
    Binding,
    Field,
    Layout,
    Number,
    Release,
    Shape,
    Space,
    Variant,
)
from xensave.catalogue.owned import Citation, OwnedRange
from xensave.errors import Malformed, UsageError

if TYPE_CHECKING:
    from xensave.catalogue.raw import (
        Index,
        RawField,
        RawLayout,
        RawRecord,
        RawRelease,
        RawReservation,
        RawShape,
        RawSpace,
        RawVariant,
    )

DATA = os.path.join(os.path.dirname(__file__), "data")  # noqa: PTH118, PTH120 - pathlib is slow


def read_json(name: str) -> bytes:
    """Returns the bytes of a data file."""
    with open(f"{DATA}/{name}", "rb") as file:
        return file.read()


def check_schema(schema: int, name: str) -> None:
    """Refuses data of another schema than this code reads. Raises Malformed for it."""
    if schema != SCHEMA:
        raise Malformed(f"catalogue {name}: schema {schema}, expected {SCHEMA}")


@cache
def index() -> Index:
    """Returns the index."""
    contents: Index = json.loads(read_json("index.json"))
    check_schema(contents["schema"], "index.json")
    return contents


@cache
def load_record(name: str) -> tuple[Layout, ...]:
    """Returns every layout of a record, oldest first.

    Raises UsageError for a name that no release has.
    """
    if name not in index()["records"]:
        raise UsageError(f"no record {name!r}; there are {', '.join(index()['records'])}")
    raw: RawRecord = json.loads(read_json(f"records/{name}.json"))
    check_schema(raw["schema"], f"records/{name}.json")
    return tuple(_layout(name, layout) for layout in raw["layouts"])


@cache
def load_release(name: str) -> Release:
    """Returns a release by its series' name, as `release_names()` gives it."""
    raw: RawRelease = json.loads(read_json(f"releases/{name}.json"))
    check_schema(raw["schema"], f"releases/{name}.json")
    return Release(
        name=raw["name"],
        ref=raw["ref"],
        commit=raw["commit"],
        code_max=raw["code_max"],
        entry_size=raw["entry_size"],
        check_pass=raw["check_pass"],
        bindings=tuple(Binding(**binding) for binding in raw["bindings"]),
        reservations=tuple(_reservation(owned) for owned in raw["reservations"]),
        stream_write=raw["stream_write"],
        stream_read=tuple(raw["stream_read"]),
        variants=tuple(_variant(variant) for variant in raw["variants"]),
    )


@cache
def load_space(name: str) -> Space:
    """Returns another numbered ABI. Raises UsageError for one that the catalogue lacks."""
    if name not in index()["spaces"]:
        raise UsageError(f"no space {name!r}; there are {', '.join(index()['spaces'])}")
    raw: RawSpace = json.loads(read_json(f"spaces/{name}.json"))
    check_schema(raw["schema"], f"spaces/{name}.json")
    return Space(
        name=raw["space"],
        title=raw["title"],
        numbers=tuple(Number(**number) for number in raw["numbers"]),
        limits=tuple((release, limit) for release, limit in raw["limits"]),
        versions=tuple((release, version) for release, version in raw.get("versions", [])),
        retired=tuple((number, name) for number, name in raw.get("retired", [])),
    )


def _layout(record: str, raw: RawLayout) -> Layout:
    fields = tuple(_field(field) for field in raw["fields"])
    introduced = raw["introduced"]
    narrow = raw.get("x86_32")
    return Layout(
        record=record,
        id=raw["id"],
        struct=raw["struct"],
        size=raw["size"],
        align=raw["align"],
        fields=fields,
        introduced=Citation(**introduced) if introduced else None,
        releases=tuple(raw["releases"]),
        flexible=raw["flexible"],
        compat=raw["compat"],
        x86_32=_shape(narrow, fields) if narrow else None,
    )


def _shape(raw: RawShape, same: tuple[Field, ...]) -> Shape:
    fields = raw.get("fields")
    own = same if fields is None else tuple(_field(field) for field in fields)
    return Shape(raw["size"], raw["align"], own)


def _field(raw: RawField) -> Field:
    bits = raw.get("bits")
    return Field(
        name=raw["name"],
        type=raw["type"],
        offset=raw["offset"],
        size=raw["size"],
        dims=tuple(raw.get("dims", ())),
        bits=(bits[0], bits[1]) if bits else None,
        fields=tuple(_field(field) for field in raw.get("fields", ())),
        union=raw.get("union", False),
    )


def _reservation(raw: RawReservation) -> OwnedRange:
    citation = raw.get("citation")
    return OwnedRange(
        first=raw["first"],
        last=raw["last"],
        owner=raw["owner"],
        source=raw["source"],
        citation=Citation(**citation) if citation else None,
    )


def _variant(raw: RawVariant) -> Variant:
    return Variant(
        refs=tuple(raw["refs"]),
        code_max=raw["code_max"],
        entry_size=raw["entry_size"],
        check_pass=raw["check_pass"],
        bindings=tuple(Binding(**binding) for binding in raw["bindings"]),
        absent=tuple(raw.get("absent", ())),
    )
