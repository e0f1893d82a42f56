"""What a stream rule is, and what a check says when a record breaks one."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from xensave.catalogue.dates import Version, in_force
from xensave.catalogue.model import Cite
from xensave.container.events import Event, LayerName
from xensave.findings import Severity
from xensave.rules.stream.state import StreamState


class Reader(NamedTuple):
    """Who refuses what breaks a rule, as a layer is called, in which function of its sources.

    In force from `since` to before `until`, as `xensave.catalogue.dates` has it; the formats
    themselves are of 4.6.
    """

    layer: LayerName
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def holds(self, version: Version) -> bool:
        """Tells whether that release refuses it."""
        return in_force(self.since, self.until, version)


def refused_by(
    layer: LayerName,
    function: str,
    commit: str = "",
    subject: str = "",
    release: str = "",
    *,
    since: tuple[str, ...] = (),
    until: tuple[str, ...] = (),
) -> tuple[Reader, ...]:
    """Returns the one reader that refuses what breaks a rule."""
    return (Reader(layer, Cite(function, commit, subject, release), since, until),)


class StreamRule(NamedTuple):
    """A rule's id (LAYER_SUBJECT_PREDICATE), its severity, and what it demands in a sentence.

    Errors and warnings make a stream invalid. A note says what a reader tolerates, or what the
    specification leaves open and a restore would stumble over. `readers` are those who enforce
    it; a rule without any is the specification's alone, and a restore passes what breaks it.
    """

    id: str
    severity: Severity
    sentence: str
    readers: tuple[Reader, ...] = ()


class Fault(NamedTuple):
    """A rule broken: what was found, and where if not at the record's first byte."""

    rule: StreamRule
    message: str
    offset: int | None = None


CheckFunction = Callable[[Event, StreamState], Iterable[Fault]]


class Check(NamedTuple):
    """A line of the table: which events a function looks at, and the rules that it may report.

    `types` are the record types of the layer; None stands for every record. `kind` other than
    records: the header of that name.
    """

    layer: LayerName
    types: tuple[int, ...] | None
    function: CheckFunction
    rules: tuple[StreamRule, ...]
    header: str | None = None
