"""Rules on HVM_SAVE_CODE_MAX: it sizes the handler table and bounds its loops, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.rules.numbers.model import Change, Hit
from xensave.rules.numbers.number import number_taken_from_owner
from xensave.rules.numbers.placeholder import highest, placeholder

NAME = "HVM_SAVE_CODE_MAX"


def maximum_below_record(change: Change) -> Iterator[Hit]:
    """A record's number is above the maximum, so that its handler has no place in the table."""
    headers = change.after.headers
    if headers.code_max is None:
        if change.was.code_max is not None and headers.records:
            place = change.was.code_max_place or headers.records[-1].place
            text = f"{NAME} is gone: it sizes the handler table and bounds what a load takes"
            remedy = f"Keep {NAME}, at {max(r.typecode for r in headers.records)} or above."
            yield Hit(place, NAME, text, removed=True, remedy=remedy)
        return
    theirs = {hit.subject for hit in number_taken_from_owner(change)}
    own = max((r.typecode for r in headers.records if r.name not in theirs), default=0)
    for record in headers.records:
        if record.typecode > headers.code_max:
            # A maximum raised for a number that is another owner's would only be raised again.
            remedy = (
                f"Give {record.name} a free number first; {NAME} follows it."
                if record.name in theirs
                else f"Raise {NAME} to {own}."
            )
            place, code = headers.code_max_place or record.place, record.typecode
            text = f"{NAME} is {headers.code_max}, below {record.name} ({code}, {record.place})"
            yield Hit(place, record.name, text, f"{headers.code_max} {code}", remedy=remedy)


def maximum_raised_for_no_record(change: Change) -> Iterator[Hit]:
    """The maximum rises past every record: memory and loop iterations for no use."""
    headers, top = change.after.headers, highest(change)
    if headers.code_max is None or top is None or headers.code_max_place is None:
        return
    before = change.was.code_max
    needed = max(top.typecode, before or 0)
    extra = headers.code_max - needed
    if extra <= 0:
        return
    rise = f"is raised from {before} to" if before is not None else "is"
    text = f"{NAME} {rise} {headers.code_max} and no record has a number above {top.typecode}"
    remedy = f"Leave {NAME} at {needed}; raise it with the record that needs it."
    what = f"{text}: {_cost(change, extra)}"
    yield Hit(headers.code_max_place, NAME, what, f"{headers.code_max}", remedy=remedy)


def maximum_raised_far(change: Change) -> Iterator[Hit]:
    """The maximum rises to a record far out, so that most of the handler table stands empty."""
    headers, top = change.after.headers, highest(change)
    before = change.was.code_max
    if headers.code_max is None or top is None or before is None:
        return
    raised = min(headers.code_max, top.typecode)
    new = [
        r for r in headers.records if before < r.typecode <= raised and not placeholder(change, r)
    ]
    empty = raised - before - len(new)
    if not new or empty <= len(headers.records):
        return
    names = new[0].name if len(new) == 1 else f"{len(new)} records"
    text = (
        f"{NAME} is raised from {before} to {headers.code_max} for {names}: the handler table "
        f"then has {raised + 1:,} entries, {empty:,} of the new ones empty; "
        f"{_cost(change, raised - before)}"
    )
    remedy = f"Take the next free number, or look handlers up without a table as long as {NAME}."
    place = headers.code_max_place or top.place
    yield Hit(place, NAME, text, f"{headers.code_max}", remedy=remedy)


def _cost(change: Change, extra: int) -> str:
    """What more entries of the handler table cost on the release that a change is to."""
    if change.base is None:
        return f"+{extra:,} iterations of each loop over the handlers"
    size = change.base.entry_size
    return (
        f"on {change.base.name} +{extra * size:,} bytes of handler table "
        f"({extra:,} entries of {size}) and +{extra:,} iterations of each loop over it"
    )
