"""A TOML table read key by key, with errors that name the file and the key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from xensave.catalogue.owned import TYPECODE_MAX
from xensave.errors import Malformed, SourceError, UsageError


def parse(text: str) -> dict[str, object]:
    """Return the tables of a TOML text. Raises Malformed for whatever is wrong with it.

    >>> parse("schema = 1")
    {'schema': 1}
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except ValueError as error:
        # Of TOML, or of an integer of more digits than Python reads.
        raise Malformed(str(error)) from error


def read(path: str | os.PathLike[str]) -> dict[str, object]:
    """Return the tables of a TOML file. Raises SourceError, and UsageError for what is no TOML."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    except Malformed as error:
        raise UsageError(f"{path}: {error.message}") from error


class Table:
    """A TOML table at `path` of the file `source`: keys are read as one type each, or refused."""

    def __init__(self, data: Mapping[str, object], source: str, path: str) -> None:
        self.data = data
        self.source = source
        self.path = path

    def error(self, key: str, message: str) -> Malformed:
        """The error that says what is wrong with a key, and where it stands."""
        place = f"{self.path}.{key}".strip(".")
        return Malformed(message, record=self.source, path=place or None)

    def allow(self, keys: tuple[str, ...]) -> None:
        """Refuse any other key."""
        for key in self.data:
            if key not in keys:
                raise self.error(key, f"unknown key; known are {', '.join(keys)}")

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A text that is not blank; None where it is absent and need not be there."""
        value = self.data.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "must be a text that says something")
        return value.strip()

    def number(self, key: str, default: int | None = None, most: int = TYPECODE_MAX) -> int:
        """A number from 0 to `most`."""
        value = self.data.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self.error(key, f"must be a number from 0 to {most}")
        return value

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of an array that has at least one."""
        items = self.data.get(key)
        if not isinstance(items, list) or not items:
            raise self.error(key, "must be an array of tables, one or more ([[numbers]])")
        for at, item in enumerate(items):
            if not isinstance(item, dict):
                raise self.error(f"{key}[{at}]", "must be a table")
            yield Table(item, self.source, f"{self.path}.{key}[{at}]".strip("."))
