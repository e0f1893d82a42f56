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
        reason = _reason(change, record)
        if reason:
            yield Hit(
                record.place,
                record.name,
                f"{record.name} ({record.code}) {reason}: a reservation by more than a comment",
                key=f"{record.code}",
            )


def _reason(change: Change, record: HeaderRecord) -> str:
    if _NAME.search(record.name):
        return "is a record in name only"
    if record.form == DEFINE and record.layout is None:
        handlers = change.after.handlers
        if handlers is None or all(handler.name != record.name for handler in handlers):
            return "is a number without a struct"
    empty = record.layout is not None and not record.layout.fields
    if empty and record.code != 0:
        return "is a record of an empty struct"
    return ""
