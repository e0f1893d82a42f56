"""A TOML table read key by key, with errors that name the file and the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xensave.catalogue.owned import TYPECODE_MAX
from xensave.errors import Malformed


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
