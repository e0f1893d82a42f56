"""Rules as data: what a handler requires of a record's body, since and until which release."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import Cite
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine

LOAD: Final = "load"
CHECK: Final = "check"


class Rule(NamedTuple):
    """One thing that a release requires of a record.

    `test` is given the body and the machine and returns None where all is well, or the detail of
    what is not ("cr0 is 0x80000000"). It raises `Undecided` where only the host could tell. The
    rule is in force from `since` to before `until`, each a set of releases (see
    `xensave.catalogue.dates`); `stage` is LOAD or CHECK, the pass that applies it.
    """

    id: str
    record: str
    errno: Errno
    sentence: str
    test: Callable[[Body, Machine], str | None]
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    stage: Literal["load", "check"] = LOAD


class Refusal(Exception):
    """A handler refuses its record: with an errno, a rule and a reason."""

    def __init__(self, errno: Errno, rule: str, reason: str, cite: Cite) -> None:
        super().__init__(reason)
        self.errno = errno
        self.rule = rule
        self.reason = reason
        self.cite = cite


class Undecided(Exception):
    """A rule cannot answer without knowing more: about the host, or the guest's memory."""
