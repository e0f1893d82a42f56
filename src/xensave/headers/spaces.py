"""The numbered ABIs beside the save records: data/spaces.json says where each one's numbers stand.

A description names the headers (each the first that exists of several paths, for files move), a
pattern whose group is a number's name, and what else the rules need: the macro that bounds the
numbers, the one that tells the version of an interface which may change, the document that lists
the same numbers, and what a larger bound costs. Another ABI is another entry.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NotRequired, TypedDict

from xensave.errors import UsageError

DESCRIPTIONS = Path(__file__).parent / "data" / "spaces.json"


class RawLimit(TypedDict):
    """The macro that bounds a space: a count, or with `last` the last number allowed.

    `times` multiplies it; numbers from `below` on are not bounded.
    """

    macro: str
    last: NotRequired[bool]
    times: NotRequired[int]
    below: NotRequired[int]


class RawCost(TypedDict):
    """What each further number costs: bytes `per` something, of which array."""

    bytes: int
    per: str
    of: str


class RawDescription(TypedDict):
    """A space's entry in the data file."""

    name: str
    title: str
    headers: list[list[str]]
    match: str
    limit: NotRequired[RawLimit]
    version: NotRequired[str]
    cost: NotRequired[RawCost]
    documents: NotRequired[list[str]]
    listed: NotRequired[str]
    same_names: NotRequired[bool]
    declared: NotRequired[bool]
    bits: NotRequired[int]


@dataclass(frozen=True)
class Description:
    """Where a space's numbers stand, and how their names look."""

    raw: RawDescription

    @property
    def space(self) -> str:
        """The space's name."""
        return self.raw["name"]

    @property
    def title(self) -> str:
        """What the space is, for people."""
        return self.raw["title"]

    @property
    def headers(self) -> list[list[str]]:
        """The headers, each by the paths that it has had."""
        return self.raw["headers"]

    @property
    def documents(self) -> list[str]:
        """The paths that the document which lists the numbers has had."""
        return self.raw.get("documents", [])

    @property
    def listed(self) -> str:
        """The pattern of a number and its name in the document."""
        return self.raw.get("listed", r"(?!)()()")

    @property
    def same_names(self) -> bool:
        """Whether document and header call a number by one name."""
        return self.raw.get("same_names", False)

    @property
    def declared(self) -> bool:
        """Whether DECLARE_HVM_SAVE_TYPE binds the numbers, beside macros."""
        return self.raw.get("declared", False)

    @property
    def version(self) -> str | None:
        """The macro with the interface's version, where numbers may change with it."""
        return self.raw.get("version")

    @property
    def cost(self) -> RawCost | None:
        """What each further number costs."""
        return self.raw.get("cost")

    @property
    def most(self) -> int:
        """The largest number that the wire has room for."""
        return (1 << self.raw.get("bits", 32)) - 1

    @property
    def limit_macro(self) -> str | None:
        """The macro that bounds the numbers."""
        limit = self.raw.get("limit")
        return limit["macro"] if limit else None

    def limit_of(self, value: int | None) -> int | None:
        """Returns the first number that a value of the macro does not allow."""
        limit = self.raw.get("limit")
        if limit is None or value is None:
            return None
        return value * limit.get("times", 1) + int(limit.get("last", False))

    def value_of(self, limit: int) -> int:
        """Returns the macro's value for which `limit` is the first number not allowed."""
        raw = self.raw["limit"]
        return -(-(limit - int(raw.get("last", False))) // raw.get("times", 1))

    def bounded(self, number: int) -> bool:
        """Tells whether the limit is meant for a number."""
        limit = self.raw.get("limit")
        return limit is not None and number < limit.get("below", self.most + 1)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of a macro of the space; its group is the number's name."""
        return re.compile(self.raw["match"])

    def name_of(self, macro: str) -> str | None:
        """Returns the name of a number by its macro, None for a macro of something else."""
        if macro in (self.limit_macro, self.version):
            return None
        match = self.pattern.fullmatch(macro)
        return match[1] if match else None

    def holds(self, path: str) -> bool:
        """Tells whether a file of that path states numbers of the space."""
        # Where a space has several headers, the first ones are there for the compiler alone.
        return path in self.headers[-1] or path in self.documents


@cache
def descriptions() -> tuple[Description, ...]:
    """Returns the descriptions of all spaces."""
    raws: list[RawDescription] = json.loads(DESCRIPTIONS.read_text(encoding="utf-8"))["spaces"]
    return tuple(Description(raw) for raw in raws)


def description_of(space: str) -> Description:
    """Returns the description of a space by name. Raises UsageError where there is none."""
    for description in descriptions():
        if description.space == space:
            return description
    names = ", ".join(description.space for description in descriptions())
    raise UsageError(f"no space {space!r}; there are {names}")
