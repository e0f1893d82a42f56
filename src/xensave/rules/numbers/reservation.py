"""Rules on reservations: a comment keeps the numbers that are deployed, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from xensave.catalogue.owned import (
    SAVE_RECORD,
    TYPECODE_MAX,
    OwnedRange,
    same_owner,
    span,
    spans,
)
from xensave.rules.numbers.model import Change, Hit
from xensave.rules.numbers.placeholder import highest


def _numbers(owned_range: OwnedRange) -> range:
    return range(owned_range.first, min(owned_range.last, TYPECODE_MAX) + 1)


def reservation_exceeds_use(change: Change) -> Iterator[Hit]:
    """A reservation reaches past the numbers that its owner uses."""
    for reservation in change.after.headers.reservations:
        used, source = numbers_in_use(change, reservation)
        if used is None:
            continue
        idle = [number for number in _numbers(reservation) if number not in used]
        if idle:
            inside = [number for number in used if reservation.first <= number <= reservation.last]
            remedy = (
                f"Reserve {spans(inside)} only." if inside else "Drop the reservation."
            ) + " Take further numbers when code that uses them is deployed."
            text = (
                f"{spans(idle)} would be headroom for {reservation.owner}: of {reservation}, "
                f"{source} has {spans(inside) or 'none'} in use"
            )
            yield Hit.on(reservation, text, remedy=remedy)


def reservation_use_unstated(change: Change) -> Iterator[Hit]:
    """Nothing says whether the numbers of a reservation are in use or only planned."""
    for reservation in change.after.headers.reservations:
        if numbers_in_use(change, reservation)[0] is None:
            yield Hit.on(reservation, use_unknown(reservation))


def use_unknown(reservation: OwnedRange) -> str:
    """Returns the words for a reservation of which nobody says what is in use."""
    return (
        f"nothing says which of {reservation} {reservation.owner} uses already: deployed "
        "numbers need a reservation, planned ones do not"
    )


def reservation_follows_upstream(change: Change) -> Iterator[Hit]:
    """A reservation of numbers still to be taken lies where upstream will go next.

    It lies apart where upstream could double what it uses before it comes near: fewer free
    numbers between are a collision to come. Numbers that are deployed cannot move any more, so
    a reservation of these alone is let be.
    """
    top = highest(change)
    if top is None:
        return
    for reservation in change.after.headers.reservations:
        used, _ = numbers_in_use(change, reservation)
        deployed = used is not None and all(number in used for number in _numbers(reservation))
        between = reservation.first - top.typecode - 1
        if deployed or reservation.first <= top.typecode or between >= top.typecode:
            continue
        gap = {0: "directly", 1: f"with only {top.typecode + 1} between"}.get(
            between, f"with only {between} numbers between"
        )
        letter = ord(reservation.owner[0].upper()) << 8
        text = f"{reservation} for {reservation.owner} follows upstream's numbers "
        remedy = (
            f"Take new numbers high in the space, from {letter:#x} on (upper byte "
            f"'{reservation.owner[0].upper()}'); keep low ones only where they are deployed."
        )
        yield Hit.on(reservation, f"{text}(up to {top.typecode}) {gap}", remedy=remedy)


def reservation_overlaps(change: Change) -> Iterator[Hit]:
    """A new reservation holds numbers of a record, of another reservation or registry.

    Where the reservation was there first, it is the other that has to yield.
    """
    headers = change.after.headers
    fresh = unlike(headers.reservations, change.was.reservations)
    new = set(map(id, fresh))
    owners = {reservation.owner_key for reservation in headers.reservations}
    for reservation in fresh:
        for record in headers.records:
            yield from _overlap(reservation, record.typecode, record.typecode, record.name)
        for claim in change.claims:
            if claim.space != SAVE_RECORD or not claim.owner:
                continue
            if claim.owner_key not in owners:
                whose = f"{claim.owner}'s in {claim.source}"
                yield from _overlap(reservation, claim.first, claim.last, whose)
    for left, other in combinations(headers.reservations, 2):
        newer, older = (other, left) if id(other) in new else (left, other)
        if id(newer) in new and newer.first <= older.last and older.first <= newer.last:
            whose = f"the reservation for {older.owner} ({older.place})"
            yield from _overlap(newer, older.first, older.last, whose)


def unlike(ranges: Iterable[OwnedRange], others: Iterable[OwnedRange]) -> list[OwnedRange]:
    """Returns the ranges that others do not have, by their ends and owner."""
    known = {(owned.first, owned.last, owned.owner_key) for owned in others}
    return [each for each in ranges if (each.first, each.last, each.owner_key) not in known]


def _overlap(owned_range: OwnedRange, first: int, last: int, whose: str) -> Iterator[Hit]:
    low, high = max(owned_range.first, first), min(owned_range.last, last)
    if low <= high:
        text = f"{owned_range} for {owned_range.owner} holds {span(low, high)}, which is {whose}"
        yield Hit.on(owned_range, text, f"{low} {high} {whose}")


def reservation_removed(change: Change) -> Iterator[Hit]:
    """A reservation, or a part of one, disappears while its numbers are deployed."""
    after = change.after.headers
    bound = [record.typecode for record in after.records]
    for old, lost in no_longer_reserved(change.was.reservations, after.reservations, bound):
        text = f"{spans(lost)} is no longer reserved for {old.owner}: upstream may hand out "
        yield Hit.on(old, f"{text}numbers that saved guests carry", removed=True)


def no_longer_reserved(
    before: Iterable[OwnedRange],
    after: Sequence[OwnedRange],
    bound: Iterable[int | None],
    numbers: Callable[[OwnedRange], range] = _numbers,
) -> Iterator[tuple[OwnedRange, list[int]]]:
    """Yields ranges with those of their numbers that are neither their owner's now nor bound."""
    taken = set(bound)
    for old in before:
        own = (numbers(each) for each in after if each.owner_key == old.owner_key)
        covered = taken.union(*own)
        lost = [number for number in numbers(old) if number not in covered]
        if lost:
            yield old, lost


def reservation_out_of_range(change: Change) -> Iterator[Hit]:
    """A reservation ends before it begins, or past the 16 bits that a number has."""
    for reservation in change.after.headers.reservations:
        if reservation.first > reservation.last or reservation.last > TYPECODE_MAX:
            text = f"{reservation} for {reservation.owner} is no range within 0 - {TYPECODE_MAX}"
            yield Hit.on(reservation, text)


def numbers_in_use(change: Change, owned_range: OwnedRange) -> tuple[set[int] | None, str]:
    """Returns the numbers that the owner of a reservation uses, and who says so; None: nobody.

    What the caller states (an owner of "") goes before what registries do.
    """
    known = [claim for claim in change.claims if claim.space == SAVE_RECORD and claim.used]
    nobodys = [claim for claim in known if not claim.owner]
    registered = [claim for claim in known if same_owner(claim.owner, owned_range.owner)]
    for claims in (nobodys, registered):
        if claims:
            return {use.number for claim in claims for use in claim.used}, claims[0].source
    return None, ""
