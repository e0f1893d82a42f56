"""Rules on comments that keep numbers of a space for an owner."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.owned import OwnedRange, same_owner, spans
from xensave.rules.numbers.model import Hit
from xensave.rules.spaces.model import SpaceChange

_MOST = 0x10000


def exceeds_use(change: SpaceChange) -> Iterator[Hit]:
    """A reservation reaches past the numbers that its owner is known to use."""
    for kept in change.after.reservations:
        used = _used(change, kept)
        if not used:
            continue
        idle = [number for number in _numbers(kept) if number not in used]
        if idle:
            yield Hit(
                kept.place,
                kept.owner,
                f"{spans(idle)} would be headroom for {kept.owner}",
                key=str(kept),
                remedy=f"Reserve {spans(n for n in used if n in kept) or 'none'} only.",
            )


def use_unstated(change: SpaceChange) -> Iterator[Hit]:
    """Nothing says whether the numbers of a reservation are in use."""
    for kept in change.after.reservations:
        if not _used(change, kept):
            yield Hit(
                kept.place,
                kept.owner,
                f"nothing says which of {kept} {kept.owner} uses already: deployed numbers need "
                "a reservation, planned ones do not",
                key=str(kept),
            )


def overlaps(change: SpaceChange) -> Iterator[Hit]:
    """A new reservation holds numbers that have a name or another owner."""
    for kept in _fresh(change):
        for n in change.after.numbers:
            if n.number is not None and n.number in kept:
                text = f"{kept} for {kept.owner} holds {n.number}, which is {n.macro}"
                yield Hit(kept.place, kept.owner, text, key=f"{n.number}")
        for claim in (*change.claims, *change.after.reservations):
            if (
                claim.space == change.description.space
                and claim.owner
                and not same_owner(claim.owner, kept.owner)
                and claim.first <= kept.last
                and kept.first <= claim.last
            ):
                text = f"{kept} for {kept.owner} overlaps {claim} of {claim.owner}"
                yield Hit(kept.place, kept.owner, text, key=f"{claim} {claim.owner}")


def removed(change: SpaceChange) -> Iterator[Hit]:
    """A reservation disappears while its numbers may be deployed."""
    for old in change.before.reservations if change.before else ():
        held = {
            number
            for kept in change.after.reservations
            if same_owner(kept.owner, old.owner)
            for number in _numbers(kept)
        }
        bound = {n.number for n in change.after.numbers}
        lost = [n for n in _numbers(old) if n not in held and n not in bound]
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
        (kept.first, kept.last, kept.owner.casefold())
        for kept in (change.before.reservations if change.before else ())
    ]
    return [
        kept
        for kept in change.after.reservations
        if (kept.first, kept.last, kept.owner.casefold()) not in old
    ]


def _used(change: SpaceChange, kept: OwnedRange) -> set[int]:
    return {
        use.number
        for claim in change.claims
        if claim.space == change.description.space and same_owner(claim.owner, kept.owner)
        for use in claim.used
    }


def _numbers(kept: OwnedRange) -> range:
    return range(kept.first, min(kept.last, kept.first + _MOST) + 1)
