"""Keys of a domain's configuration: reached by path, and changed within their type."""

from __future__ import annotations

import json

from xensave.container.description import Json
from xensave.diff.facts import config_leaves
from xensave.edit.assignment import Assignment
from xensave.errors import UsageError
from xensave.records.meaning.leaves import Leaf
from xensave.records.values import steps


def leaves_of_config(values: dict[str, Json]) -> dict[str, Leaf]:
    """Returns every key by its path."""
    return dict(config_leaves(values))


def assign(values: dict[str, Json], assignment: Assignment) -> None:
    """Changes a key in place. Raises UsageError for a path that leads nowhere, or another type.

    A key may be new if what it stands in is there. Text need not be quoted.

    >>> from xensave.edit.assignment import parse_assignment
    >>> config = {"c_info": {"type": "pvh"}, "b_info": {"max_vcpus": 1}}
    >>> assign(config, parse_assignment("config.b_info.max_vcpus=2"))
    >>> config["b_info"]
    {'max_vcpus': 2}
    """
    if assignment.operator != "=":
        raise UsageError(f"{assignment.text}: a key of the configuration takes = only")
    *above, last = steps(assignment.path)
    parent: Json = values
    for step in above:
        parent = _child(parent, step, assignment)
    new = _value(assignment.value)
    if isinstance(parent, dict) and isinstance(last, str):
        old = parent.get(last)
        parent[last] = _typed(old, new, assignment) if last in parent else new
    elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        parent[last] = _typed(parent[last], new, assignment)
    else:
        raise UsageError(f"{assignment.text}: the configuration has no {assignment.path}")


def _child(value: Json, step: str | int, assignment: Assignment) -> Json:
    if isinstance(value, dict) and isinstance(step, str) and step in value:
        return value[step]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    raise UsageError(f"{assignment.text}: the configuration has no {assignment.path}")


def _value(text: str) -> Json:
    try:
        result: Json = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return result


def _typed(old: Json, new: Json, assignment: Assignment) -> Json:
    if isinstance(old, str) and not isinstance(new, str):
        return assignment.value
    if old is not None and type(old) is not type(new):
        kind = type(old).__name__
        raise UsageError(f"{assignment.text}: {assignment.path} takes a value of type {kind}")
    return new
