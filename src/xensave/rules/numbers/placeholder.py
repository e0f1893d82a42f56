"""Rules on placeholders: a reservation is a comment, not code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave.headers.model import DEFINE, HeaderRecord
from xensave.rules.numbers.model import Change, Hit

_NAME = re.compile(r"(^|_)(RESERVED?|RSVD|UNUSED|PLACEHOLDER|DUMMY|DOWNSTREAM|VENDOR)\d*(_|$)")


def reservation_made_by_code(change: Change) -> Iterator[Hit]:
    """Code stands in for a record that is not there: a number reserved by more than a comment."""
    for record in change.after.headers.records:
        reason = placeholder(change, record)
        if reason:
            code = record.typecode
            text = f"{record.name} ({code}) {reason}: a reservation by more than a comment"
            yield Hit.on(record, text, f"{code}")


def highest(change: Change) -> HeaderRecord | None:
    """Returns the record with the largest number that is more than a placeholder."""
    records = (r for r in change.after.headers.records if not placeholder(change, r))
    return max(records, key=lambda record: record.typecode, default=None)


def placeholder(change: Change, record: HeaderRecord) -> str:
    """Returns why a record is none but in name; "" for a true one."""
    if _NAME.search(record.name):
        return "is a record in name only"
    if record.form == DEFINE and record.layout is None and change.handler_of(record.name) is None:
        return "is a number without a struct"
    empty = record.layout is not None and not record.layout.fields
    if empty and record.typecode != 0:
        return "is a record of an empty struct"
    return ""
