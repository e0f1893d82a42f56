"""Rules on numbers: each has one owner and one meaning, for ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from xensave.catalogue.owned import SAVE_RECORD, TYPECODE_MAX, OwnedRange
from xensave.headers.model import HeaderRecord
from xensave.rules.numbers.model import Change, Hit


def number_taken_from_owner(change: Change) -> Iterator[Hit]:
    """A record binds a number that a comment or a registry keeps for an owner."""
    claims = list(_claims(change))
    there = {(r.name, r.typecode) for r in change.was.records}
    for record in change.after.headers.records:
        if (record.name, record.typecode) in there:
            # It was there before any claim that this change makes.
            continue
        keeping = [claim for claim in claims if record.typecode in claim]
        theirs = {claim.owner_key for claim in keeping if _is_the_owners(record, claim)}
        claim = next((claim for claim in keeping if claim.owner_key not in theirs), None)
        if claim is not None:
            text = (
                f"{record.name} takes {record.typecode}, which {claim.source} keeps for "
                f"{claim.owner} ({claim})"
            )
            yield Hit.on(record, text, f"{record.typecode} {claim.owner}")


def _claims(change: Change) -> Iterator[OwnedRange]:
    """Registries first: they know by what name and size an owner uses a number."""
    registered = [claim for claim in change.claims if claim.owner and claim.space == SAVE_RECORD]
    yield from registered
    for owned in (*change.after.headers.reservations, *change.was.reservations):
        if not any(
            claim.first <= owned.first and owned.last <= claim.last
            for claim in registered
            if claim.owner_key == owned.owner_key
        ):
            yield owned._replace(source=str(owned.place))


def _is_the_owners(record: HeaderRecord, claim: OwnedRange) -> bool:
    """Tells whether this is the owner's own record, brought upstream as it was deployed.

    One registry may know the numbers alone, and another of the same owner their names too.
    """
    owned = claim.use_of(record.typecode)
    if owned is None or owned.name is None or owned.name.upper() != record.name.upper():
        return False
    return owned.size is None or record.layout is None or owned.size == record.layout.size


def number_reused(change: Change) -> Iterator[Hit]:
    """A number that a release gave to one record is given to another."""
    before = {record.typecode for record in change.was.records}
    for record in change.after.headers.records:
        earlier = (change.past or {}).get(record.typecode, frozenset())
        if record.typecode in before or not earlier or record.name in earlier:
            continue
        names = " and ".join(sorted(earlier))
        text = f"{record.name} takes {record.typecode}, which was {names} in earlier releases"
        yield Hit.on(record, text, f"{record.typecode}")


def number_shared(change: Change) -> Iterator[Hit]:
    """Two records of one state have the same number."""
    by_code: dict[int, list[HeaderRecord]] = defaultdict(list)
    for record in change.after.headers.records:
        by_code[record.typecode].append(record)
    known = change.was.by_name
    for code, records in by_code.items():
        if len(records) < 2:
            continue
        # The newcomer is the one to move, else the one that stands last.
        records.sort(key=lambda r: (r.name not in known, r.place.file or "", r.place.line or 0))
        first, *others = records
        for record in others:
            text = f"{record.name} has number {code}, and so has {first.name} ({first.place})"
            yield Hit.on(record, text, f"{code} {first.name}")


def number_beyond_wire(change: Change) -> Iterator[Hit]:
    """A number does not fit the 16 bits that a save descriptor has for it."""
    for record in change.after.headers.records:
        if not 0 <= record.typecode <= TYPECODE_MAX:
            text = f"{record.name} has number {record.typecode}"
            text += f"; a descriptor holds 0 - {TYPECODE_MAX}"
            yield Hit.on(record, text, f"{record.typecode}")
