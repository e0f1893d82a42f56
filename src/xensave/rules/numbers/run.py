"""Run the number-space rules over a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from xensave.findings import Finding
from xensave.rules.numbers.model import Change, Hit, Objection, Rule
from xensave.rules.numbers.table import RULES


def objections(change: Change, rules: Iterable[Rule] = RULES) -> list[Objection]:
    """What the rules object to in a change, by file and line.

    A rule on a state is asked of both states, and what it says of the earlier one is not held
    against the change. With no earlier state all of it counts.
    """
    found = [_objection(rule, hit) for rule in rules for hit in _news(rule, change)]
    return sorted(found, key=_order)


def _news(rule: Rule, change: Change) -> Iterator[Hit]:
    known: set[tuple[str, str]] = set()
    if rule.state and change.before is not None:
        earlier = replace(change, before=None, after=change.before)
        known = {(hit.subject, hit.key) for hit in rule.check(earlier)}
    for hit in rule.check(change):
        if (hit.subject, hit.key) not in known:
            yield hit


def _objection(rule: Rule, hit: Hit) -> Objection:
    finding = Finding(
        rule.id,
        hit.severity or rule.severity,
        hit.place,
        hit.message,
        hit.remedy or rule.remedy,
    )
    return Objection(finding, hit.subject, hit.removed)


def _order(objection: Objection) -> tuple[str, int, str, str]:
    place = objection.finding.place
    return place.file or "", place.line or 0, objection.finding.rule, objection.subject
