"""The numbered ABIs beside the save records: data/spaces.json says where each one's numbers stand.

A description names the headers (each the first that exists of several paths, for files move), a
pattern whose group is a number's name, and what else the rules need: the macro that bounds the
numbers, the one that tells the version of an interface which may change, the document that lists
the same numbers, and what a larger bound costs. Another ABI is another entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from xensave.errors import UsageError

DESCRIPTIONS = Path(__file__).parent / "data" / "spaces.json"


class Limit(NamedTuple):
    """The macro that bounds a space: a count, or with `last` the last number allowed.

    `times` multiplies it; numbers from `below` on are not bounded.
    """

    macro: str
    last: bool = False
    times: int = 1
    below: int | None = None


class UnitCost(NamedTuple):
    """What each further number costs: bytes `per` something, of which array."""

    bytes: int
    per: str
    of: str


class SpaceDescription(NamedTuple):
    """Where a space's numbers stand, and how their names look.

    `headers` are each the paths that one has had, `documents` those of the document which lists
    the numbers by the pattern `listed`, under the header's names where they have `same_names`.
    `match` is the pattern of a macro, whose group is a number's name; `declared` says that
    DECLARE_HVM_SAVE_TYPE binds numbers too. `version` is the macro with the interface's version,
    where numbers may change with it. The wire has room for `bits`.
    """

    space: str
    title: str
    headers: list[list[str]]
    match: str
    limit: Limit | None = None
    version: str | None = None
    cost: UnitCost | None = None
    documents: Sequence[str] = ()
    listed: str = r"(?!)()()"
    same_names: bool = False
    declared: bool = False
    bits: int = 32

    @property
    def most(self) -> int:
        """The largest number that the wire has room for."""
        return (1 << self.bits) - 1

    @property
    def limit_macro(self) -> str | None:
        """The macro that bounds the numbers."""
        return self.limit.macro if self.limit else None

    def limit_of(self, value: int | None) -> int | None:
        """Returns the first number that a value of the macro does not allow."""
        if self.limit is None or value is None:
            return None
        return value * self.limit.times + self.limit.last

    def value_of(self, limit: int) -> int:
        """Returns the macro's value for which `limit` is the first number not allowed."""
        return -(-(limit - self.limit.last) // self.limit.times) if self.limit else limit

    def bounded(self, number: int) -> bool:
        """Tells whether the limit is meant for a number."""
        return self.limit is not None and number < (self.limit.below or self.most + 1)

    def name_of(self, macro: str) -> str | None:
        """Returns the name of a number by its macro, None for a macro of something else."""
        if macro in (self.limit_macro, self.version):
            return None
        match = _compiled(self.match).fullmatch(macro)
        return match[1] if match else None

    def holds(self, path: str) -> bool:
        """Tells whether a file of that path states numbers of the space."""
        # Where a space has several headers, the first ones are there for the compiler alone.
        return path in self.headers[-1] or path in self.documents


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def descriptions() -> tuple[SpaceDescription, ...]:
    """Returns the descriptions of all spaces."""
    rows = json.loads(DESCRIPTIONS.read_text(encoding="utf-8"))["spaces"]
    for row in rows:
        for key, kind in (("limit", Limit), ("cost", UnitCost)):
            if key in row:
                row[key] = kind(**row[key])
    return tuple(SpaceDescription(**row) for row in rows)


def description_of(space: str) -> SpaceDescription:
    """Returns the description of a space by name. Raises UsageError where there is none."""
    for description in descriptions():
        if description.space == space:
            return description
    names = ", ".join(description.space for description in descriptions())
    raise UsageError(f"no space {space!r}; there are {names}")
