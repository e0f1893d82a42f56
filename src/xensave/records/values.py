"""What a decoded field is, and how to reach one by its path.

A field is an `int`, `bytes` (arrays of 8-bit integers), a `list` (other arrays) or a `dict`
(structs and unions). A path names one as C would: "timers[1].cmp".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TypeAlias

from xensave.errors import UsageError

Value: TypeAlias = "int | bytes | list[Value] | dict[str, Value]"

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


class Values(dict[str, Value]):
    """The fields of one record, and the `body` that they were read from.

    The body is what makes encoding exact: padding, unused bits and bytes beyond the layout
    come from it, and of two members of a union the one that differs from it is written.
    """

    __slots__ = ("body",)

    def __init__(self, fields: dict[str, Value], body: bytes) -> None:
        super().__init__(fields)
        self.body = body

    def copy(self) -> Values:
        """Returns the same fields and body; nested lists and dicts are copied too."""
        return Values({name: clone(value) for name, value in self.items()}, self.body)


def clone(value: Value) -> Value:
    """Copies a value, down to the last list and dict."""
    if isinstance(value, list):
        return [clone(item) for item in value]
    if isinstance(value, dict):
        return {name: clone(item) for name, item in value.items()}
    return value


def get(values: dict[str, Value], path: str) -> Value:
    """Returns the field at a path; UsageError where there is none.

    >>> get({"timers": [{"cmp": 1}, {"cmp": 2}]}, "timers[1].cmp")
    2
    """
    if path in values:
        # Most paths are a single name, and names have neither dots nor brackets.
        return values[path]
    value: Value = values
    for step in steps(path):
        value = _child(value, step, path)
    return value


def put(values: dict[str, Value], path: str, new: Value) -> None:
    """Sets the field at a path in place; UsageError where there is none.

    >>> fields = {"timers": [{"cmp": 1}, {"cmp": 2}]}
    >>> put(fields, "timers[0].cmp", 7)
    >>> fields
    {'timers': [{'cmp': 7}, {'cmp': 2}]}
    """
    *above, last = steps(path)
    parent: Value = values
    for step in above:
        parent = _child(parent, step, path)
    _child(parent, last, path)
    if isinstance(parent, bytes):
        raise UsageError(f"{path}: a byte of a byte string cannot be set; set the whole field")
    if isinstance(parent, list) and isinstance(last, int):
        parent[last] = new
    if isinstance(parent, dict) and isinstance(last, str):
        parent[last] = new


def integer(values: dict[str, Value], path: str) -> int:
    """Returns the field at a path, which is an integer; UsageError where it is not."""
    value = values[path] if path in values else get(values, path)
    if isinstance(value, int):
        return value
    raise UsageError(f"field {path} is no integer")


def numbers(values: dict[str, Value], names: Collection[str]) -> list[int]:
    """Returns some fields, which are integers; UsageError where one is not.

    >>> numbers({"leaf": 7, "a": 1, "b": 2}, "ab")
    [1, 2]
    """
    result = [value for name in names if isinstance(value := values[name], int)]
    return result if len(result) == len(names) else [integer(values, name) for name in names]


def octets(values: dict[str, Value], path: str) -> bytes:
    """Returns the field at a path, which is an array of bytes; UsageError where it is not."""
    value = get(values, path)
    if isinstance(value, bytes):
        return value
    raise UsageError(f"field {path} is no array of bytes")


def integers(values: dict[str, Value], path: str) -> list[int]:
    """Returns the field at a path, which is an array of integers; UsageError where it is not."""
    value = get(values, path)
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, list):
        numbers = [item for item in value if isinstance(item, int)]
        if len(numbers) == len(value):
            return numbers
    raise UsageError(f"field {path} is no array of integers")


def structs(values: dict[str, Value], path: str) -> list[dict[str, Value]]:
    """Returns the field at a path, which is an array of structs; UsageError where it is not."""
    value = get(values, path)
    if isinstance(value, list):
        members = [item for item in value if isinstance(item, dict)]
        if len(members) == len(value):
            return members
    raise UsageError(f"field {path} is no array of structs")


def steps(path: str) -> list[str | int]:
    """Returns the names and indices of a path; UsageError where it is none.

    >>> steps("timers[1].cmp")
    ['timers', 1, 'cmp']
    """
    parts: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if not match:
            break
        name, index = match.groups()
        parts.append(name if name is not None else int(index))
        at = match.end()
    if at < len(path) or not parts:
        raise UsageError(f"{path!r} is no field path; write it like timers[1].cmp")
    return parts


def _child(value: Value, step: str | int, path: str) -> Value:
    if isinstance(step, str) and isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(step, int) and isinstance(value, (list, bytes)) and step < len(value):
        return value[step]
    raise UsageError(f"there is no field {path}")
