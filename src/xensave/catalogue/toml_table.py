"""A TOML table read key by key, with errors that name the file and the key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from xensave.catalogue.owned import TYPECODE_MAX
from xensave.errors import Malformed, SourceError, UsageError, XensaveError

T = TypeVar("T")
Word = TypeVar("Word", bound=str)


def parse(text: str) -> dict[str, object]:
    """Returns the tables of a TOML text. Raises Malformed for whatever is wrong with it.

    >>> parse("schema = 1")
    {'schema': 1}
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise Malformed(str(error)) from error
    except ValueError as error:
        raise Malformed("an integer of more digits than can be read") from error


def read(path: str | os.PathLike[str]) -> dict[str, object]:
    """Returns the tables of a TOML file. Raises SourceError, and UsageError for what is no TOML."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except OSError as error:
        raise SourceError(str(error.strerror)).about(str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError(str(error)).about(str(path)) from error
    except Malformed as error:
        raise UsageError(error.message).about(str(path)) from error


class TomlTable(NamedTuple):
    """A TOML table at `path` of the file `source`: keys are read as one type each, or refused.

    What is refused is of the class `kind`.
    """

    data: Mapping[str, object]
    source: str
    path: str = ""
    kind: type[XensaveError] = Malformed

    def error(self, key: str, message: str) -> XensaveError:
        """Returns the error that says what is wrong with a key, and where it stands."""
        place = f"{self.path}.{key}".strip(".")
        return self.kind(message, record=self.source, path=place or None)

    def inside(self, key: str, data: Mapping[str, object]) -> TomlTable:
        """Returns a table that stands in this one."""
        return TomlTable(data, self.source, f"{self.path}.{key}".strip("."), self.kind)

    def allow(self, keys: Sequence[str]) -> None:
        """Refuses any other key."""
        for key in self.data:
            if key not in keys:
                raise self.error(key, f"unknown key; known are {', '.join(keys)}")

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Returns a text that is not blank; None where it is absent and need not be there."""
        value = self.data.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "must be a text that says something")
        return value.strip()

    def choice(self, key: str, of: Sequence[Word], default: Word | None = None) -> Word:
        """Returns one of some texts."""
        value = self.data.get(key, default)
        for word in of:
            if value == word:
                return word
        raise self.error(key, f"must be one of {', '.join(of)}")

    def number(self, key: str, default: int | None = None, most: int = TYPECODE_MAX) -> int:
        """Returns a number from 0 to `most`."""
        value = self.data.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self.error(key, f"must be a number from 0 to {most}")
        return value

    def name(self, key: str, *, required: bool = False) -> str | int | None:
        """Returns what is called by a name or a number; None where it need not be there."""
        value = self.data.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise self.error(key, "must be a name or a number")
        return value

    def texts(self, key: str) -> list[str]:
        """Returns an array of texts; an empty one where it is absent."""
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be an array of strings")
        return value

    def mapping(self, key: str, of: type[T]) -> dict[str, T]:
        """Returns a table of values of one type; an empty one where it is absent."""
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "must be a table")
        table: dict[str, T] = {}
        for name, item in value.items():
            if not isinstance(item, of) or isinstance(item, bool):
                raise self.error(f"{key}.{name}", f"{item!r} is no {of.__name__}")
            table[name] = item
        return table

    def tables(self, key: str, *, required: bool = True) -> Iterator[TomlTable]:
        """Yields the tables of an array; unless it is required there may be none."""
        items = self.data.get(key, None if required else [])
        if not isinstance(items, list) or (required and not items):
            raise self.error(key, f"must be an array of tables ([[{key}]])")
        for at, item in enumerate(items):
            if not isinstance(item, dict):
                raise self.error(f"{key}[{at}]", "must be a table")
            yield self.inside(f"{key}[{at}]", item)
