"""Make an image that another release restores: a plan that says every change, then its application.

>>> from xensave.convert import Settings, plan_conversion
>>> plan = plan_conversion("examples/hvm1.img.zst", Settings("4.16"))
>>> [(change.action, change.what) for change in plan.changes]
[('rewrite', 'Xen 4.17 to 4.16')]
>>> plan.losses
()
"""

from xensave.convert.apply import convert, plan_conversion
from xensave.convert.plan import ConversionRefused, Loss, Plan, PlannedChange
from xensave.convert.rules import RecordRule, load_rules, parse_drop, parse_map
from xensave.convert.settings import Settings

__all__ = [
    "ConversionRefused",
    "Loss",
    "Plan",
    "PlannedChange",
    "RecordRule",
    "Settings",
    "convert",
    "load_rules",
    "parse_drop",
    "parse_map",
    "plan_conversion",
]
