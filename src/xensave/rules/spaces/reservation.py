"""Rules on comments that keep numbers of a space for an owner."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.owned import OwnedRange, same_owner, spans
from xensave.rules.numbers.model import Hit
from xensave.rules.spaces.model import SpaceChange

_MOST = 0x10000


def exceeds_use(change: SpaceChange) -> Iterator[Hit]:
    """A reservation reaches past the numbers that its owner is known to use."""
    for reservation in change.after.reservations:
        used = _used(change, reservation)
        if not used:
            continue
        idle = [number for number in _numbers(reservation) if number not in used]
        if idle:
            yield Hit(
                reservation.place,
                reservation.owner,
                f"{spans(idle)} would be headroom for {reservation.owner}",
                key=str(reservation),
                remedy=f"Reserve {spans(n for n in used if n in reservation) or 'none'} only.",
            )


def use_unstated(change: SpaceChange) -> Iterator[Hit]:
    """Nothing says whether the numbers of a reservation are in use."""
    for reservation in change.after.reservations:
        if not _used(change, reservation):
            yield Hit(
                reservation.place,
                reservation.owner,
                f"nothing says which of {reservation} {reservation.owner} uses already: "
                "deployed numbers need a reservation, planned ones do not",
                key=str(reservation),
            )


def overlaps(change: SpaceChange) -> Iterator[Hit]:
    """A new reservation holds numbers that have a name or another owner."""
    for reservation in _fresh(change):
        for n in change.after.numbers:
            if n.number is not None and n.number in reservation:
                text = f"{reservation} for {reservation.owner} holds {n.number}, which is {n.macro}"
                yield Hit(reservation.place, reservation.owner, text, key=f"{n.number}")
        for claim in (*change.claims, *change.after.reservations):
            if (
                claim.space == change.description.space
                and claim.owner
                and not same_owner(claim.owner, reservation.owner)
                and claim.first <= reservation.last
                and reservation.first <= claim.last
            ):
                text = f"{reservation} for {reservation.owner} overlaps {claim} of {claim.owner}"
                yield Hit(reservation.place, reservation.owner, text, key=f"{claim} {claim.owner}")


def removed(change: SpaceChange) -> Iterator[Hit]:
    """A reservation disappears while its numbers may be deployed."""
    for old in change.before.reservations if change.before else ():
        covered = {
            number
            for reservation in change.after.reservations
            if same_owner(reservation.owner, old.owner)
            for number in _numbers(reservation)
        }
        bound = {n.number for n in change.after.numbers}
        lost = [n for n in _numbers(old) if n not in covered and n not in bound]
        if lost:
            yield Hit(
                old.place,
                old.owner,
                f"{spans(lost)} is no longer reserved for {old.owner}",
                key=str(old),
                removed=True,
            )


def _fresh(change: SpaceChange) -> list[OwnedRange]:
    old = [
        (reservation.first, reservation.last, reservation.owner.casefold())
        for reservation in (change.before.reservations if change.before else ())
    ]
    return [
        reservation
        for reservation in change.after.reservations
        if (reservation.first, reservation.last, reservation.owner.casefold()) not in old
    ]


def _used(change: SpaceChange, owned_range: OwnedRange) -> set[int]:
    return {
        use.number
        for claim in change.claims
        if claim.space == change.description.space and same_owner(claim.owner, owned_range.owner)
        for use in claim.used
    }


def _numbers(owned_range: OwnedRange) -> range:
    return range(owned_range.first, min(owned_range.last, owned_range.first + _MOST) + 1)
