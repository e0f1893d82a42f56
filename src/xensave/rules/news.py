"""What a rule on a change says: of a rule on states, only what the earlier state did not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from xensave.findings import Finding
from xensave.rules.numbers.model import Change, NumberRule, Objection
from xensave.rules.spaces.model import SpaceChange

C = TypeVar("C", Change, SpaceChange)


def news(rule: NumberRule[C], change: C) -> Iterator[Objection]:
    """Yields what a rule objects to; what it says of the state before is not held against it."""
    known: set[tuple[str, str]] = set()
    if rule.state and change.before is not None:
        earlier = replace(change, before=None, after=change.before)
        known = {(hit.subject, hit.key) for hit in rule.check(earlier)}
    for hit in rule.check(change):
        if (hit.subject, hit.key) not in known:
            severity, remedy = hit.severity or rule.severity, hit.remedy or rule.remedy
            finding = Finding(rule.id, severity, hit.place, hit.message, remedy)
            yield Objection(finding, hit.subject, hit.removed)
