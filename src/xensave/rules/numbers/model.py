"""What the number-space rules read and what they say: plain values.

A `Side` is the number space of one state of the headers, a `Change` two of them with what is
known of the surroundings. A rule takes a Change and yields `Hit`s; `xensave.rules.numbers.run`
makes them `Objection`s with the id, severity and remedy that the table states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from xensave.catalogue.model import EXACT, OWN, ZEROEXTEND, LoadMode, RecordKind, Release
from xensave.catalogue.owned import OwnedRange
from xensave.findings import NOTE, Finding, Place, Severity
from xensave.headers.model import HeaderRecord, HeaderSpace
from xensave.headers.text.numbers import SpaceNumber
from xensave.headers.text.registrations import Registration, load_mode


class Handlers(NamedTuple):
    """What a tree registers; `check_pass` says that every record is checked before any loads."""

    registrations: tuple[Registration, ...]
    check_pass: bool = False

    def of(self, record: str) -> Registration | None:
        """Returns the registration of a record; the last of several."""
        return next((r for r in reversed(self.registrations) if r.record == record), None)

    @property
    def loads(self) -> Mapping[str, LoadMode]:
        """How each record is loaded, where that is understood: a check that is stricter counts."""
        return {
            r.record: EXACT if load_mode(r.record, r.bodies[1]) == EXACT else r.load_mode
            for r in self.registrations
            if r.load_mode
        }


@dataclass(frozen=True, slots=True)
class Side:
    """One state of the headers.

    `lines` gives the place of a record's struct (path "") and of its fields by dotted path.
    `handlers` is None without a tree to look into. `loads` is the load mode by record name, `kinds`
    whether it is saved per domain or vCPU, where they are known: from the handlers, or from the
    release that stands in. `checked` are the words of a patch's own C, where there is no tree;
    `version` is what the tree calls itself.
    """

    headers: HeaderSpace
    lines: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    handlers: Handlers | None = None
    loads: Mapping[str, LoadMode] = field(default_factory=dict)
    kinds: Mapping[str, RecordKind] = field(default_factory=dict)
    checked: frozenset[str] = frozenset()
    version: str = ""

    def place_of(self, record: HeaderRecord, path: str = "") -> Place:
        """Returns where a field of a record stands, or the nearest known place: struct, binding."""
        parts = path.split(".") if path else []
        while parts:
            place = self.lines.get((record.name, ".".join(parts)))
            if place is not None:
                return place
            parts.pop()
        return self.lines.get((record.name, ""), record.place)


_NOTHING = HeaderSpace("", (), None, None, ())


@dataclass(frozen=True, slots=True)
class Change:
    """A change to the number space, and what is known around it.

    `before` is None when a state is looked at as a whole. `base` is the release it is a change
    to, `past` the names that each number had in that release and all before it (None: unknown),
    `claims` what vendors' registries and the caller say of numbers in use. `saved` tells which
    releases up to then wrote a record of which size, by the record's name.
    """

    before: Side | None
    after: Side
    base: Release | None = None
    past: Mapping[int, frozenset[str]] | None = None
    claims: tuple[OwnedRange, ...] = ()
    saved: Mapping[str, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def was(self) -> HeaderSpace:
        """The headers before the change; empty ones where a state is looked at as a whole."""
        return self.before.headers if self.before else _NOTHING

    @property
    def staying(self) -> Iterator[tuple[HeaderRecord, HeaderRecord]]:
        """The records that both states have by one name, before and after."""
        after = self.after.headers.by_name
        return ((old, after[old.name]) for old in self.was.records if old.name in after)

    def on_field(
        self,
        record: HeaderRecord,
        path: str,
        message: str,
        key: str = "",
        severity: Severity | None = None,
    ) -> Hit:
        """Returns what a rule says of a field, or with "" for the path of a record's struct."""
        subject = f"{record.name}.{path}" if path else record.name
        place = self.after.place_of(record, path)
        return Hit(place, subject, message, key, severity=severity)

    def handler_of(self, record: str) -> Registration | None:
        """Returns the registration of a record after the change; None where none is known."""
        return self.after.handlers.of(record) if self.after.handlers else None

    def leniency(self, name: str) -> tuple[str, Severity | None]:
        """Returns what softens an objection to a changed record, as words to add and a severity.

        A record that no release has had is still being made: a change to it is worth a note.
        """
        if self.past is None or any(name in names for names in self.past.values()):
            return "", None
        return f" (no release has {name} yet)", NOTE


def accepts(side: Side, record: HeaderRecord, size: int) -> bool:
    """Tells whether the load of a record takes one of this size; an unknown mode takes its own."""
    mode = side.loads.get(record.name)
    if mode == OWN or record.wire is None:
        return True
    if mode == ZEROEXTEND and size <= record.wire.size:
        return True
    return size in {record.wire.size, record.compat.size if record.compat else record.wire.size}


def lost_sizes(change: Change, before: HeaderRecord, after: HeaderRecord) -> str:
    """Returns the sizes of a record that do not load any more, with the releases that wrote them.

    "" where nothing that a release wrote is lost.
    """
    if change.before is None:
        return ""
    lost = [
        f"{size} bytes ({_span(releases)})"
        for size, releases in sorted(change.saved.get(after.name, {}).items())
        if accepts(change.before, before, size) and not accepts(change.after, after, size)
    ]
    return ", ".join(lost)


def _span(releases: tuple[str, ...]) -> str:
    return releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}"


class Hit(NamedTuple):
    """One place that a rule objects to.

    `subject` says what it is about and stays the same from one version of a patch to the next;
    `key` tells apart what differs in substance, so that only what a change brings is reported.
    `removed` says that `place` is in the state before the change. `severity` and `remedy`, where
    given, stand in for those of the table.
    """

    place: Place
    subject: str
    message: str
    key: str = ""
    removed: bool = False
    severity: Severity | None = None
    remedy: str | None = None

    @classmethod
    def on(  # noqa: PLR0917 - what it is about, then its own fields
        cls,
        what: HeaderRecord | OwnedRange | SpaceNumber,
        message: str,
        key: str = "",
        removed: bool = False,
        severity: Severity | None = None,
        remedy: str | None = None,
    ) -> Hit:
        """Returns what a rule says of a record, a reservation or a number, at its place."""
        match what:
            case HeaderRecord():
                subject = what.name
            case OwnedRange():
                subject, key = what.owner, key or str(what)
            case SpaceNumber():
                subject = what.macro
        return cls(what.place, subject, message, key, removed, severity, remedy)


C = TypeVar("C")


class NumberRule(NamedTuple, Generic[C]):
    """A row of a table: `state` rules look at one state, the others at what changed.

    A state that is looked at as a whole is held to the `state` rules, and to those that `whole`
    says make sense of it.
    """

    id: str
    severity: Severity
    purpose: str
    remedy: str
    check: Callable[[C], Iterator[Hit]]
    state: bool = False
    whole: bool = False
    cite: str = ""


class Objection(NamedTuple):
    """What a rule objects to, with its rule and where: a finding and which side it points at.

    `settled` names the later patch of a series that mends it.
    """

    finding: Finding
    subject: str
    removed: bool = False
    settled: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Rule and subject, by which it is known again in another version of a patch."""
        return self.finding.rule, self.subject
