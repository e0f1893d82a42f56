"""Run the number-space rules over a change."""

from __future__ import annotations

from collections.abc import Iterable

from xensave.rules.news import news
from xensave.rules.numbers.model import Change, NumberRule, Objection
from xensave.rules.numbers.table import RULES


def objections(change: Change, rules: Iterable[NumberRule[Change]] = RULES) -> list[Objection]:
    """Returns what the rules object to in a change, by file and line.

    A rule on a state is asked of both states, and what it says of the earlier one is not held
    against the change. With no earlier state all of it counts.
    """
    raised = [objection for rule in rules for objection in news(rule, change)]
    return sorted(raised, key=_order)


def _order(objection: Objection) -> tuple[str, int, str, str]:
    place = objection.finding.place
    return place.file or "", place.line or 0, objection.finding.rule, objection.subject
