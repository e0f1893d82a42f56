"""Releases, layouts and other numbered ABIs from the catalogue's data files: each once.

A release costs one small file, a record's layouts another. A row of JSON has its value's own field
names, so that the model is their one description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar

from xensave.catalogue.files import Json, index, read_data
from xensave.catalogue.model import (
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
from xensave.errors import UsageError

T = TypeVar("T")


@cache
def load_record(name: str) -> tuple[Layout, ...]:
    """Returns every layout of a record, oldest first.

    Raises UsageError for a name that no release has.
    """
    if name not in index()["records"]:
        raise UsageError(f"no record {name!r}; there are {', '.join(index()['records'])}")
    layouts = read_data(f"records/{name}.json")["layouts"]
    return tuple(_layout(name, layout) for layout in layouts)


@cache
def load_release(name: str) -> Release:
    """Returns a release by its series' name, as `release_names()` gives it."""
    row = read_data(f"releases/{name}.json")
    return _made(
        Release,
        row,
        bindings=_all(Binding, row["bindings"]),
        reservations=tuple(_cited(OwnedRange, owned, "citation") for owned in row["reservations"]),
        variants=tuple(
            _made(Variant, each, bindings=_all(Binding, each["bindings"]))
            for each in row["variants"]
        ),
    )


@cache
def load_space(name: str) -> Space:
    """Returns another numbered ABI. Raises UsageError for one that the catalogue lacks."""
    if name not in index()["spaces"]:
        raise UsageError(f"no space {name!r}; there are {', '.join(index()['spaces'])}")
    row = read_data(f"spaces/{name}.json")
    row["name"] = row.pop("space")
    return _made(Space, row, numbers=_all(Number, row["numbers"]))


def _layout(record: str, row: Json) -> Layout:
    fields = _fields(row["fields"])
    shape = row.get("x86_32")
    # What both ABIs have alike is not written twice.
    narrow = shape and _made(
        Shape, shape, fields=_fields(shape["fields"]) if "fields" in shape else fields
    )
    return _cited(Layout, row, "introduced", record=record, fields=fields, x86_32=narrow)


def _fields(rows: Iterable[Json]) -> tuple[Field, ...]:
    return tuple([_made(Field, row, fields=_fields(row.get("fields", ()))) for row in rows])


def _all(kind: Callable[..., T], rows: Iterable[Json]) -> tuple[T, ...]:
    return tuple(kind(**row) for row in rows)


def _cited(kind: Callable[..., T], row: Json, key: str, **parts: object) -> T:
    """A value that a commit is cited for, under a key of its row."""
    citation = row.get(key)
    return _made(kind, row, **parts, **{key: Citation(**citation) if citation else None})


def _made(kind: Callable[..., T], row: Json, **parts: object) -> T:
    """A value of a row's members, but for the parts that are values already."""
    members = {
        name: _frozen(item) if isinstance(item, list) else item
        for name, item in row.items()
        if name not in parts
    }
    return kind(**members, **parts)


def _frozen(items: list[object]) -> tuple[object, ...]:
    return tuple([_frozen(item) if isinstance(item, list) else item for item in items])
