"""Findings of images as text and as JSON. What came from the input is escaped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from xensave.findings import ERROR, WARNING, Finding
from xensave.views.text.colours import painted
from xensave.views.text.escape import escape
from xensave.views.text.wrap import plural


def finding_line(name: str, finding: Finding, *, colour: bool = False) -> str:
    """Returns a finding in one line: input, offset, record, severity, message, rule.

    >>> from xensave.findings import Place
    >>> place = Place(offset=64, record="libxc END")
    >>> finding_line("a.img", Finding("LIBXC_MARKER_EMPTY", ERROR, place, "has a body"))
    'a.img: offset 0x40: libxc END: error: has a body [LIBXC_MARKER_EMPTY]'
    """
    severity = painted(finding.severity, finding.severity, colour=colour)
    parts = [escape(name), escape(str(finding.place)), f"{severity}: {escape(finding.message)}"]
    return f"{': '.join(part for part in parts if part)} [{finding.rule}]"


class Repeats:
    """Lets the first findings of each rule through and counts the rest, which could be millions.

    >>> from xensave.findings import Place
    >>> finding, repeats = Finding("LIBXC_MARKER_EMPTY", ERROR, Place(), "has a body"), Repeats(1)
    >>> [repeats.admit(finding) for _ in range(3)], list(repeats.lines("a.img"))
    ([True, False, False], ['a.img: 2 more of LIBXC_MARKER_EMPTY; --all-findings prints them'])
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def admit(self, finding: Finding) -> bool:
        """Counts a finding, and tells whether to print it."""
        self._counts[finding.rule] += 1
        return self._limit is None or self._counts[finding.rule] <= self._limit

    def lines(self, name: str) -> Iterator[str]:
        """Yields a line for each rule with findings that were not printed."""
        for rule, count in self._counts.items():
            if self._limit is not None and count > self._limit:
                more = f"{count - self._limit:,} more of {rule}"
                yield f"{escape(name)}: {more}; --all-findings prints them"


def summary_line(name: str, counts: Counter[str], about: str) -> str:
    """Returns the line that closes an input's findings: valid, or how much was found."""
    if not counts[ERROR] and not counts[WARNING]:
        return f"{escape(name)}: valid: {about}"
    counted = ", ".join(
        f"{counts[severity]} {plural(counts[severity], severity)}"
        for severity in (ERROR, WARNING)
        if counts[severity]
    )
    return f"{escape(name)}: {counted}: {about}"


def finding_object(finding: Finding) -> dict[str, object]:
    """Returns a finding as a JSON object."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "offset": finding.place.offset,
        "record": finding.place.record,
        "message": finding.message,
    }


def json_pieces(name: str, findings: Iterable[Finding]) -> Iterator[str]:
    """Yields the beginning of an image's JSON object: its name and its findings as they come.

    However many findings there are, none is kept. `json_end` closes the object.
    """
    yield f'{{"image": {json.dumps(name)}, "findings": ['
    separator = ""
    for finding in findings:
        yield separator + json.dumps(finding_object(finding))
        separator = ", "
    yield "]"


def json_end(fields: dict[str, object]) -> str:
    """Returns the end of an image's JSON object: what is known after the last record."""
    return (
        "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()) + "}"
    )
