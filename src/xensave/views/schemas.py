"""The JSON schemas of what commands print, which are shipped with the package."""

from __future__ import annotations

import json
from pathlib import Path

from xensave.errors import UsageError

FOLDER = Path(__file__).parent / "data"
_SUFFIX = ".schema.json"


def schema_names() -> list[str]:
    """Returns the commands that have a schema.

    >>> "show" in schema_names()
    True
    """
    return sorted(path.name.removesuffix(_SUFFIX) for path in FOLDER.glob(f"*{_SUFFIX}"))


def schema(command: str) -> dict[str, object]:
    """Returns the schema (JSON Schema 2020-12) of a command's documents, errors among them.

    Its `$id` ends in the version of the form: a form that changes so that readers break has the
    next number. Keys may be added within a version. Raises UsageError for another command.

    >>> schema("check")["$id"]
    'urn:xensave:check:1'
    """
    if command not in schema_names():
        raise UsageError(f"no schema of {command!r}; there are {', '.join(schema_names())}")
    document: dict[str, object] = json.loads((FOLDER / f"{command}{_SUFFIX}").read_text())
    return document
