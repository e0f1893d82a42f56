"""Rules as data: what Xen requires of a record, since and until which release."""

from collections.abc import Callable, Iterable
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from xensave.catalogue.dates import Dated, Version, in_force
from xensave.catalogue.errnos import MaybeErrno
from xensave.catalogue.model import Cite
from xensave.engine.loop.body import Body
from xensave.engine.loop.machine import Machine
from xensave.engine.verdict import Layer
from xensave.policy.value import Policy

LOAD: Final = "load"
CHECK: Final = "check"

SubjectT = TypeVar("SubjectT")


class HandlerRule(NamedTuple, Generic[SubjectT]):
    """One thing that a release requires of a record, or of a PV guest's memory.

    `test` is given the record's body (or what else the rule is on) and the machine, and returns
    None where all is well, or the detail of what is not ("cr0 is 0x80000000"). It raises
    `Undecided` where only the host could tell. The rule is in force from `since` to before
    `until`, each a set of releases (see `xensave.catalogue.dates`); `stage` is LOAD or CHECK, the
    pass that applies it. `errno` is "" where `layer` refuses of its own. `bits` limits a rule on
    PV guests to those of that width.
    """

    id: str
    record: str
    errno: MaybeErrno
    sentence: str
    test: Callable[[SubjectT, Machine], str | None]
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    stage: Literal["load", "check"] = LOAD
    layer: Layer = Layer.XEN
    bits: int | None = None

    def holds(self, version: Version) -> bool:
        """Tells whether it is in force in a release."""
        return in_force(self.since, self.until, version)


class Broken(NamedTuple, Generic[SubjectT]):
    """A rule that is broken, and how."""

    rule: HandlerRule[SubjectT]
    detail: str


def first_broken(
    rules: Iterable[HandlerRule[SubjectT]],
    subject: SubjectT,
    machine: Machine,
    label: str,
    depends: list[str],
) -> Broken[SubjectT] | None:
    """Returns the first rule that a record breaks; what others leave open goes to `depends`.

    `label` is what the record is called there.
    """
    for rule in rules:
        try:
            detail = rule.test(subject, machine)
        except Undecided as unknown:
            depends.append(f"{label}: {unknown}")
            continue
        if detail is not None:
            return Broken(rule, detail)
    return None


class Refusal(Exception):
    """A handler refuses its record: with an errno, a rule and a reason."""

    def __init__(self, errno: MaybeErrno, rule: str, reason: str, cite: Cite) -> None:
        super().__init__(reason)
        self.errno = errno
        self.rule = rule
        self.reason = reason
        self.cite = cite


class Undecided(Exception):
    """A rule cannot answer without knowing more: about the host, or the guest's memory."""


def clear(path: str, bits: int) -> Callable[[Body, Machine], str | None]:
    """Returns the test that some bits of a member are zero."""

    def test(body: Body, machine: Machine) -> str | None:
        return f"{path} is {body[path]:#x}" if body[path] & bits else None

    return test


def padding(path: str) -> Callable[[Body, Machine], str | None]:
    """Returns the test that every byte of a member is zero."""

    def test(body: Body, machine: Machine) -> str | None:
        return f"{path} is {body.octets(path).hex()}" if body[path] else None

    return test


class KnownBits(NamedTuple):
    """Bits of a register by their name, known from `since` to `until`.

    A guest whose CPU policy has one of `features` may set them, any guest where there are none.
    """

    bits: int
    name: str
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def known(self, version: Version) -> int:
        """Returns the bits where a release knows them, else 0."""
        return self.bits if in_force(self.since, self.until, version) else 0

    def allowed(self, policy: Policy, version: Version) -> int:
        """Returns the bits where a release lets a guest with this policy set them, else 0."""
        if self.features and not any(map(policy.has, self.features)):
            return 0
        return self.known(version)


def known_bits(rows: Iterable[KnownBits], version: Version) -> int:
    """Returns the bits that a release knows."""
    bits = 0
    for row in rows:
        bits |= row.known(version)
    return bits


def allowed_bits(rows: Iterable[KnownBits], policy: Policy, version: Version) -> int:
    """Returns the bits that a release lets a guest with this policy set."""
    bits = 0
    for row in rows:
        bits |= row.allowed(policy, version)
    return bits


def dated_bits(
    id_: str, record: str, register: str, rows: Iterable[KnownBits]
) -> tuple[Dated, ...]:
    """Returns the rows that some releases have and others have not, as differences of a record."""
    return tuple(
        Dated(id_, record, f"{register} may have {row.name}", row.cite, row.since, row.until)
        for row in rows
        if row.since or row.until
    )
