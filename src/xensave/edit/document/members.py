"""Read an object of a decoded image: typed members, and errors that say where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from xensave.errors import Malformed

Json: TypeAlias = "bool | int | float | str | bytes | list[Json] | dict[str, Json] | None"
"""A member's value; bytes are written in hexadecimal, and read as text of it."""


class Members:
    """An object of the document; `place` is its path ("events[3]")."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise Malformed("an object is due here", path=place)
        self._value: Mapping[str, object] = value
        self.place = place

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def get(self, key: str) -> object:
        """Returns a member. Raises Malformed where there is none."""
        if key not in self._value:
            raise Malformed(f"the member {key!r} is missing", path=self.place)
        return self._value[key]

    def number(self, key: str, default: int | None = None) -> int:
        """Returns an integer; it may be written as text ("0x10")."""
        if default is not None and key not in self._value:
            return default
        return as_number(self.get(key), f"{self.place}.{key}")

    def text(self, key: str) -> str:
        """Returns a string. Raises Malformed for a value of another type."""
        result = self.get(key)
        if not isinstance(result, str):
            raise Malformed("a string is due here", path=f"{self.place}.{key}")
        return result

    def octets(self, key: str, default: bytes | None = None) -> bytes:
        """Returns bytes, which are written in hexadecimal."""
        if default is not None and key not in self._value:
            return default
        return as_octets(self.get(key), f"{self.place}.{key}")

    def objects(self, key: str) -> list[Members]:
        """Returns the objects of a list."""
        place = f"{self.place}.{key}"
        result = as_list(self.get(key), place)
        return [Members(item, f"{place}[{index}]") for index, item in enumerate(result)]

    def members(self, key: str) -> Members:
        """Returns an object."""
        return Members(self.get(key), f"{self.place}.{key}")

    def items(self) -> Iterator[tuple[str, object]]:
        """Yields every member with its name."""
        yield from self._value.items()


def as_number(value: object, place: str) -> int:
    """Returns an integer, or Malformed."""
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise Malformed(f"{value[:40]!r} is no number", path=place) from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("an integer is due here", path=place)
    return value


def as_octets(value: object, place: str) -> bytes:
    """Returns bytes as they are, or from hexadecimal; Malformed else."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Malformed("bytes in hexadecimal are due here", path=place)
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise Malformed(f"{value[:40]!r} is not hexadecimal", path=place) from None


def as_list(value: object, place: str) -> list[object]:
    """Returns a list, or Malformed."""
    if not isinstance(value, list):
        raise Malformed("a list is due here", path=place)
    return value
