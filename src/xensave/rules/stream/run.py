"""Every rule over every header and record of a stream, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xensave.container import Event, walk
from xensave.container.events import RECORD, LayerName, bound
from xensave.container.runs import PageRun, walk_in_runs
from xensave.errors import SourceError, UsageError, XensaveError
from xensave.findings import Finding, Place
from xensave.rules.stream.libxc.pages import alike
from xensave.rules.stream.model import Check, Fault
from xensave.rules.stream.state import StreamState
from xensave.rules.stream.table import checks_of
from xensave.rules.stream.whole import rule_of
from xensave.source import Source

Key = tuple[LayerName, str | int]


class _Index:
    """The checks by what they look at; those of every record of a layer come last.

    A format's checks are taken in with its first event: what is of other formats needs none.
    """

    def __init__(self) -> None:
        self._by_key: dict[Key, list[Check]] = {}
        self._shared: dict[LayerName, list[Check]] = {}
        self._layers: set[LayerName] = set()

    def of(self, event: Event) -> list[Check]:
        """Returns the checks that look at an event."""
        if event.layer not in self._layers:
            self._add(event.layer)
        if event.kind == RECORD:
            own = self._by_key.get((event.layer, event.type), [])
            return own + self._shared.get(event.layer, [])
        return self._by_key.get((event.layer, event.name), [])

    def _add(self, layer: LayerName) -> None:
        self._layers.add(layer)
        for check in checks_of(layer):
            if check.types is None:
                self._shared.setdefault(check.layer, []).append(check)
                continue
            for key in [check.header] if check.header else check.types:
                self._by_key.setdefault((check.layer, key), []).append(check)


FINDINGS_KEPT = 16
"""So many findings of one rule are remembered: a hostile stream has millions."""


class Checks:
    """All rules over the events of a stream as they come.

    `findings` are those of `add`, the first FINDINGS_KEPT of each rule.
    """

    def __init__(self) -> None:
        self._index = _Index()
        self.state = StreamState()
        self.findings: list[Finding] = []
        self._clean = True
        self._in_run = False
        self._counts: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Looks at the next event, and remembers what was found at it."""
        for finding in self.look(event):
            self._counts[finding.rule] += 1
            if self._counts[finding.rule] <= FINDINGS_KEPT:
                self.findings.append(finding)

    def look(self, event: Event) -> list[Finding]:
        """Looks at the next event; returns what was found at it."""
        if isinstance(event, PageRun):
            if not (self._clean and alike(event, self.state)):
                return [finding for each in event.apart() for finding in self.look(each)]
            if self._in_run:
                # The run before it broke no rule, and left the state as it found it.
                self.state.update(event)
                return []
        self._in_run = isinstance(event, PageRun)
        findings = []
        for check in self._index.of(event):
            for fault in check.function(event, self.state):
                findings.append(_finding(check, fault, event))
        self._clean = not findings
        self.state.update(event)
        return findings


class Verification:
    """One pass of all rules over a source; iterate over it for the findings.

    `event` is where it stands, `state` what it has seen. Runs of page records that break no rule
    are one event, unless each is to come `apart`. It goes on after a finding as long as
    the stream can be followed; where it cannot, that is the last finding.
    """

    def __init__(self, source: Source, format: str | None = None, *, apart: bool = False) -> None:
        self._source = source
        self._format = format
        self._apart = apart
        self._checks = Checks()
        self.event: Event | None = None

    @property
    def state(self) -> StreamState:
        """What it has seen of the stream."""
        return self._checks.state

    @property
    def size(self) -> int | None:
        """The input's size in bytes, where it is known beforehand."""
        return self._source.size

    @property
    def position(self) -> int:
        """How many bytes of the input were passed."""
        return self._source.offset

    def events(self) -> Iterator[tuple[Event, list[Finding]]]:
        """Yields each event with what was found at it. Errors of the stream are raised."""
        events = (
            walk(self._source, self._format, stored=True)
            if self._apart
            else walk_in_runs(self._source, self._format, stored=True, listed="all")
        )
        for event in events:
            self.event = event
            yield event, self._checks.look(event)
            if isinstance(event, PageRun):
                # The walk counts the events that it gives; a run that breaks a rule is many.
                bound(self.state.records, event)

    def __iter__(self) -> Iterator[Finding]:
        try:
            for _, findings in self.events():
                yield from findings
        except (SourceError, UsageError):
            raise
        except XensaveError as error:
            yield stopped(error)


def verify(source: Source, format: str | None = None) -> Iterator[Finding]:
    """Yields what breaks the rules of the formats, in the order of the stream.

    `format` is the name of one; without it the first bytes tell. Raises only
    SourceError, where the input itself fails.

    >>> from xensave.source import open_source
    >>> for finding in verify(open_source(b"LibxlFmt" + bytes(4))):
    ...     print(finding.rule, "-", finding.message)
    STREAM_COMPLETE - input ends after 12 of 16 bytes
    """
    return iter(Verification(source, format))


def stopped(error: XensaveError) -> Finding:
    """Returns the finding that a stream cannot be followed any further."""
    rule = rule_of(error)
    place = Place(offset=error.offset, record=error.record, path=error.path)
    return Finding(rule.id, rule.severity, place, error.message)


def _finding(check: Check, fault: Fault, event: Event) -> Finding:
    """Returns what a check reports, which may only be what its row of the table lists."""
    if fault.rule not in check.rules:
        raise AssertionError(f"{check.function.__name__} reports {fault.rule.id}: not in its row")
    offset = event.offset if fault.offset is None else fault.offset
    place = Place(offset=offset, record=event.label)
    return Finding(fault.rule.id, fault.rule.severity, place, fault.message)
