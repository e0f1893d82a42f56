"""Rules on comments that keep numbers of a space for an owner."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.owned import OwnedRange, spans
from xensave.rules.numbers.model import Hit
from xensave.rules.numbers.reservation import no_longer_reserved, unlike, use_unknown
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
            text = f"{spans(idle)} would be headroom for {reservation.owner}"
            inside = spans(n for n in used if n in reservation) or "none"
            yield Hit.on(reservation, text, remedy=f"Reserve {inside} only.")


def use_unstated(change: SpaceChange) -> Iterator[Hit]:
    """Nothing says whether the numbers of a reservation are in use."""
    for reservation in change.after.reservations:
        if not _used(change, reservation):
            yield Hit.on(reservation, use_unknown(reservation))


def overlaps(change: SpaceChange) -> Iterator[Hit]:
    """A new reservation holds numbers that have a name or another owner."""
    for reservation in unlike(change.after.reservations, change.was.reservations):
        for n in change.after.numbers:
            if n.number is not None and n.number in reservation:
                text = f"{reservation} for {reservation.owner} holds {n.number}, which is {n.macro}"
                yield Hit.on(reservation, text, f"{n.number}")
        for claim in (*change.claims, *change.after.reservations):
            if (
                claim.space == change.description.space
                and claim.owner
                and claim.owner_key != reservation.owner_key
                and claim.first <= reservation.last
                and reservation.first <= claim.last
            ):
                text = f"{reservation} for {reservation.owner} overlaps {claim} of {claim.owner}"
                yield Hit.on(reservation, text, f"{claim} {claim.owner}")


def removed(change: SpaceChange) -> Iterator[Hit]:
    """A reservation disappears while its numbers may be deployed."""
    after = change.after
    bound = [n.number for n in after.numbers]
    for old, lost in no_longer_reserved(
        change.was.reservations, after.reservations, bound, _numbers
    ):
        yield Hit.on(old, f"{spans(lost)} is no longer reserved for {old.owner}", removed=True)


def _used(change: SpaceChange, owned_range: OwnedRange) -> set[int]:
    return {
        use.number
        for claim in change.claims
        if claim.space == change.description.space and claim.owner_key == owned_range.owner_key
        for use in claim.used
    }


def _numbers(owned_range: OwnedRange) -> range:
    return range(owned_range.first, min(owned_range.last, owned_range.first + _MOST) + 1)
