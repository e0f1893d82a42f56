"""Every rule that a review holds a change to: on save records, and on the other number spaces."""

from __future__ import annotations

from typing import TypeAlias

from xensave.rules.numbers import table as number_table
from xensave.rules.numbers.model import Change, NumberRule
from xensave.rules.spaces import table as space_table
from xensave.rules.spaces.model import SpaceRule

AnyRule: TypeAlias = NumberRule[Change] | SpaceRule

ROWS: tuple[AnyRule, ...] = (*number_table.RULES, *space_table.RULES)
BY_ID: dict[str, AnyRule] = {row.id: row for row in ROWS}
