"""What a line of a header states, as far as the number space and layouts go."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Kind(StrEnum):
    """The kinds of facts. OPEN, MEMBER and CLOSE make up structs, the others stand outside."""

    OPEN = "open"
    CLOSE = "close"
    MEMBER = "member"
    DECLARE = "declare"
    NUMBER = "number"
    MAXIMUM = "maximum"
    FRAME = "frame"
    RESERVE = "reserve"
    CONSTANT = "constant"
    CONDITION = "condition"
    INCLUDE = "include"
    # C that states nothing known: where it is added the compiler judges it, else it is refused.
    OTHER = "other"


WITHIN = frozenset({Kind.OPEN, Kind.MEMBER, Kind.CLOSE})


Key: TypeAlias = tuple[str, str, tuple[int | str, ...]]


class HeaderFact(NamedTuple):
    """What a statement states. `name` and `value` identify it; `text` is C to put in its place.

    `value` is a number or expression for DECLARE, NUMBER, MAXIMUM, FRAME and CONSTANT, and (first,
    last) for RESERVE. `first` and `last` are the indices of its lines in what was read. `outer`
    says that an OPEN or CLOSE is of a struct that lies in no other: it is not indented.
    """

    kind: Kind
    name: str
    value: tuple[int | str, ...] = ()
    text: str = ""
    first: int = 0
    last: int = 0
    outer: bool = False

    @property
    def key(self) -> Key:
        """What must agree for two facts to be one: a member's type is compared apart."""
        return self.kind, self.name, self.value

    @property
    def deeper(self) -> int:
        """How much further within structs what follows lies: 1 after OPEN, -1 after CLOSE."""
        return (self.kind is Kind.OPEN) - (self.kind is Kind.CLOSE)
