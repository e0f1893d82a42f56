"""Run the rules on number spaces over a change."""

from __future__ import annotations

from xensave.rules.news import news
from xensave.rules.numbers.model import Objection
from xensave.rules.spaces.model import SpaceChange
from xensave.rules.spaces.table import RULES


def objections(change: SpaceChange) -> list[Objection]:
    """Returns what the rules object to in a change to one file, in its order.

    What a rule on a state says of the earlier state is not held against the change.
    """
    rules = [rule for rule in RULES if change.before or rule.state or rule.whole]
    raised = [objection for rule in rules for objection in news(rule, change)]
    return sorted(raised, key=lambda objection: objection.finding.place.line or 0)
