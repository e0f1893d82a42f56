"""Rules on HVM_SAVE_CODE_MAX: it sizes the handler table and bounds its loops, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.rules.numbers.model import Change, Hit

NAME = "HVM_SAVE_CODE_MAX"


def maximum_below_record(change: Change) -> Iterator[Hit]:
    """A record's number is above the maximum, so that its handler has no place in the table."""
    headers = change.after.headers
    if headers.code_max is None:
        return
    for record in headers.records:
        if record.code > headers.code_max:
            yield Hit(
                headers.code_max_place or record.place,
                record.name,
                f"{NAME} is {headers.code_max}, below {record.name} ({record.code}, "
                f"{record.place})",
                key=f"{headers.code_max} {record.code}",
                remedy=f"Raise {NAME} to {max(r.code for r in headers.records)}.",
            )


def maximum_raised_for_no_record(change: Change) -> Iterator[Hit]:
    """The maximum rises past every record: memory and loop iterations for no use."""
    headers, top = change.after.headers, change.after.highest
    if headers.code_max is None or top is None or headers.code_max_place is None:
        return
    before = change.before.headers.code_max if change.before else None
    needed = max(top.code, before or 0)
    extra = headers.code_max - needed
    if extra <= 0:
        return
    rise = f"is raised from {before} to" if before is not None else "is"
    cost = f"+{extra} iterations of each loop over the handlers"
    if change.base is not None:
        size = change.base.entry_size
        cost = (
            f"on {change.base.name} +{extra * size} bytes of handler table "
            f"({extra} entries of {size}) and +{extra} iterations of each loop over it"
        )
    yield Hit(
        headers.code_max_place,
        NAME,
        f"{NAME} {rise} {headers.code_max} and no record has a number above "
        f"{needed if needed == top.code else top.code}: {cost}",
        key=f"{headers.code_max}",
        remedy=f"Leave {NAME} at {needed}; raise it with the record that needs it.",
    )
