"""An example of what each rule objects to, as lines of a diff, and where the rule comes from.

data/examples.json is made from the rules' fixtures by tests/rules_numbers/make_examples.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "examples.json"
_DATA: dict[str, dict[str, list[str]]] = json.loads(_FILE.read_text(encoding="utf-8"))["rules"]

EXAMPLES: Mapping[str, list[str]] = {rule: row["example"] for rule, row in _DATA.items()}
_THREAD = (
    'xen-devel, December 2019, "x86/save: reserve HVM save record numbers that have been '
    'consumed..."'
)
# What a rule is there for: a review, or the commit that showed the need.
CITES: Mapping[str, str] = {
    "NUMBER_TAKEN_FROM_OWNER_UNLESS_UPSTREAMED": _THREAD,
    "MAXIMUM_RAISED_FOR_NO_RECORD": _THREAD,
    "MAXIMUM_RAISED_FAR": _THREAD,
    "RESERVATION_EXCEEDS_USE": _THREAD,
    "RESERVATION_USE_UNSTATED": _THREAD,
    "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED": _THREAD,
    "RESERVATION_MADE_BY_CODE": _THREAD,
    "RESERVATION_REMOVED": '6e99520bf4 "x86/save: reserve HVM save record numbers that have been '
    'consumed..."',
    "FIELD_INSERTED_UNLESS_COMPAT": 'f0308bbb5b "Add RDTSCP instruction support for HVM VMX '
    'guest."',
    "STRUCT_DIFFERS_BETWEEN_ABIS": 'b28b590d4a "x86/vlapic: Fix handling of writes to APIC_ESR"',
    "RECORD_SIZE_CHANGED_UNLESS_COMPAT": '0f1cb96e97 "x86 hvm: Allow cross-vendor migration"',
}
