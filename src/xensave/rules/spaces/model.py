"""What the rules on number spaces read: plain values.

A `SpaceChange` is one file's numbers before and after, with what is known around them: the release
that it is a change to, all that the catalogue has of the space, and who owns which numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from xensave.catalogue.model import Space
from xensave.catalogue.owned import OwnedRange
from xensave.findings import NOTE, Severity
from xensave.headers.spaces import SpaceDescription
from xensave.headers.text.numbers import SpaceNumber, SpaceText
from xensave.rules.numbers.model import Hit, NumberRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceChange:
    """A change to one file of a space.

    `before` is None where a state is looked at as a whole. `past` maps each number to the names
    that releases up to the base gave it. `other` is the document beside a header, or the header
    beside a document, after the change. `released` is the interface's version in the base.
    """

    description: SpaceDescription
    before: SpaceText | None
    after: SpaceText
    space: Space
    past: Mapping[int, frozenset[str]]
    claims: tuple[OwnedRange, ...] = ()
    other: SpaceText | None = None
    released: int | None = None

    @property
    def was(self) -> SpaceText:
        """The numbers before the change; none where a state is looked at as a whole."""
        return self.before or SpaceText("", ())

    @property
    def fresh(self) -> list[SpaceNumber]:
        """The numbers that the change gives to names, aliases left out."""
        known = {(n.name, n.number) for n in self.was.numbers}
        return [n for n in _numbered(self.after) if (n.name, n.number) not in known]

    @property
    def gone(self) -> list[SpaceNumber]:
        """The numbers whose names the change takes away altogether."""
        names = {n.name for n in self.after.numbers}
        return [n for n in _numbered(self.was) if n.name not in names]

    def leniency(
        self, name: str, number: int | None, *, retired: bool = False
    ) -> tuple[str, Severity | None]:
        """Returns what softens an objection to a number that changes: words and a severity.

        What no release has is still being made, unless a comment says that it is `retired`.
        Callers of a control interface state its version and are refused by any other, so that its
        numbers may change once the version has.
        """
        if not retired and name not in self.past.get(number or 0, frozenset()):
            return f" (no release has {name} yet)", NOTE
        version = self.description.version
        if version is None:
            return "", None
        if self.after.version is None or self.released is None:
            return f" (allowed where {version} has risen since the last release)", NOTE
        if self.after.version > self.released:
            return f" ({version} has risen since the last release)", NOTE
        return f" (and {version} has not risen since the last release)", None

    def on_limit(
        self, message: str, key: str, *, removed: bool = False, remedy: str | None = None
    ) -> Hit:
        """Returns what a rule says of the macro that bounds the numbers, at its place."""
        place = (self.was if removed else self.after).limit_place
        removed = removed and place is not None
        at = place or self.after.numbers[-1].place
        return Hit(at, self.description.limit_macro or "", message, key, removed, remedy=remedy)


def _numbered(text: SpaceText) -> list[SpaceNumber]:
    return [n for n in text.numbers if n.number is not None and not n.alias]


SpaceRule: TypeAlias = NumberRule[SpaceChange]
