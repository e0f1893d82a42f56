"""What the process that parses C is asked, and what it answers: plain values, sent as JSON.

A struct type is told once, and a field of such a type names it by its index, so that an answer is
as long as the headers are, however often one struct contains another.
"""

from __future__ import annotations

from typing import Literal, TypedDict

Place = tuple[str, int]


class Job(TypedDict):
    """One compilation. `structs` and `constants` are patterns of the names that are wanted.

    `files` holds every file that the compiler may see, by the name that it asks for.
    """

    main: str
    args: list[str]
    files: dict[str, str]
    structs: str
    constants: str


class FieldAnswer(TypedDict):
    """A member: `type` as written, `canonical` without typedefs, `struct` an index of `types`."""

    name: str
    type: str
    canonical: str
    offset: int
    size: int
    dims: list[int]
    bits: list[int] | None
    struct: int | None


class TypeAnswer(TypedDict):
    """A struct or union."""

    name: str
    size: int
    align: int
    union: bool
    fields: list[FieldAnswer]


class ParserAnswer(TypedDict):
    """What one compilation gives. `structs` is by tag: an index of `types`, and where it stands.

    `error` is the first error: its file, line and text. `strays` are files asked for beyond
    those given. `limit` names a limit that was exceeded; all else is then empty.
    """

    types: list[TypeAnswer]
    structs: dict[str, tuple[int, Place]]
    constants: list[tuple[str, int, Place]]
    error: tuple[str, int, str] | None
    strays: list[tuple[str, Place]]
    limit: Literal["", "fields", "memory", "parse"]


def nothing(limit: Literal["", "fields", "memory", "parse"] = "") -> ParserAnswer:
    """Returns an answer without content."""
    return ParserAnswer(types=[], structs={}, constants=[], error=None, strays=[], limit=limit)
