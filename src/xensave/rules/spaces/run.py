"""Run the rules on number spaces over a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xensave.findings import Finding
from xensave.rules.numbers.model import Hit, Objection
from xensave.rules.spaces.model import SpaceChange, SpaceRule
from xensave.rules.spaces.table import RULES


def objections(change: SpaceChange) -> list[Objection]:
    """Return what the rules object to in a change to one file, in its order.

    What a rule on a state says of the earlier state is not held against the change.
    """
    rules = [rule for rule in RULES if change.before or rule.state or rule.whole]
    found = [_objection(rule, hit) for rule in rules for hit in _news(rule, change)]
    return sorted(found, key=lambda objection: objection.finding.place.line or 0)


def _news(rule: SpaceRule, change: SpaceChange) -> Iterator[Hit]:
    known: set[tuple[str, str]] = set()
    if rule.state and change.before is not None:
        earlier = replace(change, before=None, after=change.before)
        known = {(hit.subject, hit.key) for hit in rule.check(earlier)}
    for hit in rule.check(change):
        if (hit.subject, hit.key) not in known:
            yield hit


def _objection(rule: SpaceRule, hit: Hit) -> Objection:
    severity, remedy = hit.severity or rule.severity, hit.remedy or rule.remedy
    return Objection(
        Finding(rule.id, severity, hit.place, hit.message, remedy), hit.subject, hit.removed
    )
