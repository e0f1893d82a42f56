"""Rules on reservations: a comment keeps the numbers that are deployed, and no others."""

from __future__ import annotations

from collections.abc import Iterator
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


def reservation_exceeds_use(change: Change) -> Iterator[Hit]:
    """A reservation reaches past the numbers that its owner uses."""
    for kept in change.after.headers.reservations:
        used, source = numbers_in_use(change, kept)
        if used is None:
            continue
        idle = [number for number in _numbers(kept) if number not in used]
        if idle:
            inside = [number for number in used if kept.first <= number <= kept.last]
            remedy = (
                f"Reserve {spans(inside)} only." if inside else "Drop the reservation."
            ) + " Take further numbers when code that uses them is deployed."
            yield Hit(
                kept.place,
                kept.owner,
                f"{spans(idle)} would be headroom for {kept.owner}: of {kept}, "
                f"{source} has {spans(inside) or 'none'} in use",
                key=str(kept),
                remedy=remedy,
            )


def reservation_use_unstated(change: Change) -> Iterator[Hit]:
    """Nothing says whether the numbers of a reservation are in use or only planned."""
    for kept in change.after.headers.reservations:
        if numbers_in_use(change, kept)[0] is None:
            yield Hit(
                kept.place,
                kept.owner,
                f"nothing says which of {kept} {kept.owner} uses already: deployed "
                "numbers need a reservation, planned ones do not",
                key=str(kept),
                remedy="State the numbers in use in the vendor's registry, or with --used.",
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
    for kept in change.after.headers.reservations:
        used, _ = numbers_in_use(change, kept)
        deployed = used is not None and all(number in used for number in _numbers(kept))
        between = kept.first - top.typecode - 1
        if deployed or kept.first <= top.typecode or between >= top.typecode:
            continue
        gap = {0: "directly", 1: f"with only {top.typecode + 1} between"}.get(
            between, f"with only {between} numbers between"
        )
        letter = ord(kept.owner[0].upper()) << 8
        yield Hit(
            kept.place,
            kept.owner,
            f"{kept} for {kept.owner} follows upstream's numbers (up to {top.typecode}) {gap}",
            key=str(kept),
            remedy=f"Take new numbers high in the space, from {letter:#x} on (upper byte "
            f"'{kept.owner[0].upper()}'); keep low ones only where they are deployed.",
        )


def reservation_overlaps(change: Change) -> Iterator[Hit]:
    """A new reservation holds numbers of a record, of another reservation or registry.

    Where the reservation was there first, it is the other that has to yield.
    """
    headers = change.after.headers
    old = {_identity(kept) for kept in change.before.headers.reservations} if change.before else ()
    fresh = [kept for kept in headers.reservations if _identity(kept) not in old]
    new = set(map(id, fresh))
    stated = {kept.owner.strip().casefold() for kept in headers.reservations}
    for kept in fresh:
        for record in headers.records:
            yield from _overlap(kept, record.typecode, record.typecode, record.name)
        for claim in change.claims:
            if claim.space != SAVE_RECORD or not claim.owner:
                continue
            if claim.owner.strip().casefold() not in stated:
                whose = f"{claim.owner}'s in {claim.source}"
                yield from _overlap(kept, claim.first, claim.last, whose)
    for one, other in combinations(headers.reservations, 2):
        newer, older = (other, one) if id(other) in new else (one, other)
        if id(newer) in new and newer.first <= older.last and older.first <= newer.last:
            whose = f"the reservation for {older.owner} ({older.place})"
            yield from _overlap(newer, older.first, older.last, whose)


def _identity(kept: OwnedRange) -> tuple[int, int, str]:
    return kept.first, kept.last, kept.owner.strip().casefold()


def _overlap(kept: OwnedRange, first: int, last: int, whose: str) -> Iterator[Hit]:
    low, high = max(kept.first, first), min(kept.last, last)
    if low <= high:
        yield Hit(
            kept.place,
            kept.owner,
            f"{kept} for {kept.owner} holds {span(low, high)}, which is {whose}",
            key=f"{low} {high} {whose}",
        )


def reservation_removed(change: Change) -> Iterator[Hit]:
    """A reservation, or a part of one, disappears while its numbers are deployed."""
    for old in change.before.headers.reservations if change.before else ():
        held = {
            number
            for kept in change.after.headers.reservations
            if same_owner(kept.owner, old.owner)
            for number in range(max(kept.first, old.first), min(kept.last, old.last) + 1)
        }
        bound = {record.typecode for record in change.after.headers.records}
        lost = [n for n in _numbers(old) if n not in held and n not in bound]
        if lost:
            yield Hit(
                old.place,
                old.owner,
                f"{spans(lost)} is no longer reserved for {old.owner}: upstream may hand out "
                "numbers that saved guests carry",
                key=str(old),
                removed=True,
            )


def reservation_out_of_range(change: Change) -> Iterator[Hit]:
    """A reservation ends before it begins, or past the 16 bits that a number has."""
    for kept in change.after.headers.reservations:
        if kept.first > kept.last or kept.last > TYPECODE_MAX:
            yield Hit(
                kept.place,
                kept.owner,
                f"{kept} for {kept.owner} is no range within 0 - {TYPECODE_MAX}",
                key=str(kept),
            )


def numbers_in_use(change: Change, kept: OwnedRange) -> tuple[set[int] | None, str]:
    """The numbers that the owner of a reservation uses, and who says so; None: nobody does.

    What the caller states (an owner of "") goes before what registries do.
    """
    known = [claim for claim in change.claims if claim.space == SAVE_RECORD and claim.used]
    stated = [claim for claim in known if not claim.owner]
    registered = [claim for claim in known if same_owner(claim.owner, kept.owner)]
    for claims in (stated, registered):
        if claims:
            return {use.number for claim in claims for use in claim.used}, claims[0].source
    return None, ""


def _numbers(kept: OwnedRange) -> range:
    return range(kept.first, min(kept.last, TYPECODE_MAX) + 1)
