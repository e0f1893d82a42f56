"""A configuration as libxl parses it: which values it takes, by release.

libxl looks for each member that it knows, of the JSON type that it expects; a member that it does
not know, or of another type, counts as absent. A member of the right type whose value it cannot
use makes it give up the whole configuration. Source: tools/libs/light/{gentypes.py,libxl_json.c};
the members are those of libxl_types.idl of each release, in data/config.json.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TypeAlias

from xensave import catalogue

Spans: TypeAlias = "list[list[str]]"

_ROOT = "domain_config"
_DEPTH = 32
_TYPE = "domain_type"
"""Domain types have a rule of their own (`xensave.toolstack.libxl.creation`)."""

_DEFBOOLS = ("<default>", "True", "False")
_RANGES = {
    "int": (-(1 << 31), (1 << 31) - 1),
    "u8": (0, (1 << 8) - 1),
    "u16": (0, (1 << 16) - 1),
    "u32": (0, (1 << 32) - 1),
    "u64": (0, (1 << 63) - 1),
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


def unusable(values: Mapping[str, object], release: str) -> Iterator[str]:
    """Yield the members whose values a release's libxl cannot use, and why.

    >>> list(unusable({"c_info": {"uuid": "none", "hap": "yes", "name": 5}}, "4.17"))
    ["c_info.hap is 'yes', no boolean of libxl's", "c_info.uuid is 'none', no UUID"]
    """
    yield from _members(values, _ROOT, _order().index(release), "", _DEPTH)


def _order() -> list[str]:
    return catalogue.release_names()


def _holds(first: str, last: str, at: int) -> bool:
    order = _order()
    newest = len(order) - 1 if order.index(last) == len(order) - 2 else order.index(last)
    return order.index(first) <= at <= newest


def _members(
    values: Mapping[str, object], type_: str, at: int, path: str, depth: int
) -> Iterator[str]:
    fields = _types()[type_].get("fields", {})
    for name, spans in fields.items():
        for kind, first, last in spans:
            if name in values and _holds(first, last, at):
                yield from _value(values[name], kind, at, f"{path}{name}", depth)


def _value(value: object, kind: str, at: int, path: str, depth: int) -> Iterator[str]:
    """Check one value; one that is not of the JSON type for its kind is not looked at by libxl."""
    if depth == 0 or isinstance(value, bool):
        return
    if kind.startswith("["):
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from _value(each, kind[1:-1], at, f"{path}[{index}]", depth - 1)
    elif kind in _RANGES:
        low, high = _RANGES[kind]
        if isinstance(value, int) and not low <= value <= high:
            yield f"{path} is {value}, outside {low} to {high}"
    elif isinstance(value, str):
        wrong = _text(value, kind, at)
        if wrong:
            yield f"{path} is {value!r}, {wrong}"
    elif isinstance(value, Mapping) and "fields" in _types().get(kind, {}):
        yield from _members(value, kind, at, f"{path}.", depth - 1)


def _text(value: str, kind: str, at: int) -> str:
    if kind == "defbool":
        return "" if value.startswith(_DEFBOOLS) else "no boolean of libxl's"
    if kind == "uuid":
        return "" if _UUID.fullmatch(value) else "no UUID"
    if kind == "mac":
        return "" if _MAC.match(value) else "no MAC address"
    known = _types().get(kind, {}).get("enum")
    if known is None or kind == _TYPE:
        return ""
    names = [
        name.lower()
        for name, spans in known.items()
        if any(_holds(first, last, at) for first, last in spans)
    ]
    return "" if value.lower() in names else f"none of {', '.join(names)}"


@cache
def _types() -> dict[str, dict[str, dict[str, Spans]]]:
    path = os.path.join(os.path.dirname(__file__), "..", "data", "config.json")  # noqa: PTH118, PTH120
    with open(path, "rb") as file:
        found: dict[str, dict[str, dict[str, Spans]]] = json.load(file)["types"]
    return found
