"""The catalogue's data files, and the index that tells which there are."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from xensave.errors import Malformed

if TYPE_CHECKING:
    from xensave.catalogue.raw import Index

SCHEMA = 1
Json = dict[str, Any]
DATA = os.path.join(os.path.dirname(__file__), "data")  # noqa: PTH118, PTH120 - pathlib is slow


def read_data(name: str) -> Json:
    """Returns what a data file holds, but for its head.

    Raises Malformed for data of another schema than this code reads.
    """
    with open(f"{DATA}/{name}", "rb") as file:
        contents: Json = json.loads(file.read())
    schema = contents.pop("schema")
    if schema != SCHEMA:
        raise Malformed(f"catalogue {name}: schema {schema}, expected {SCHEMA}")
    del contents["producer"]
    return contents


@cache
def index() -> Index:
    """Returns the index."""
    return cast("Index", read_data("index.json"))
