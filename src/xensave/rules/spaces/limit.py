"""Rules on the macro that bounds a space: it sizes an array, or says what is refused."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.rules.numbers.model import Hit
from xensave.rules.spaces.model import SpaceChange

# A number this far above the one before it is worth a word on what the gap costs.
_GAP = 4


def beyond_limit(change: SpaceChange) -> Iterator[Hit]:
    """A number is not below the limit, so that Xen refuses it or reads past an array."""
    limit, macro = change.after.limit, change.description.limit_macro
    if limit is None:
        return
    for n in change.after.numbers:
        if n.number is not None and change.description.bounded(n.number) and n.number >= limit:
            value = change.description.value_of(limit)
            yield Hit(
                n.place,
                n.macro,
                f"{n.macro} is {n.number}, and {macro} stays at {value}",
                key=f"{n.number} {limit}",
                remedy=f"Raise {macro} to {change.description.value_of(n.number + 1)}.",
            )


def limit_raised(change: SpaceChange) -> Iterator[Hit]:
    """The limit rises past every number."""
    rise = _rise(change)
    if rise is None:
        return
    before, after, highest = rise
    value = change.description.value_of
    if value(after) <= value(max(highest + 1, before)):
        return
    macro = change.description.limit_macro or ""
    extra = after - max(highest + 1, before)
    yield Hit(
        change.after.limit_place or change.after.numbers[-1].place,
        macro,
        f"{macro} {f'rises from {value(before)} to' if before else 'is'} {value(after)}, and the "
        "largest number is "
        f"{highest}{_cost(change, extra)}",
        key=f"{after}",
        remedy=f"Leave {macro} at {value(max(highest + 1, before))}; raise it with the number "
        "that needs it.",
    )


def limit_raised_far(change: SpaceChange) -> Iterator[Hit]:
    """The limit rises for a number that lies far above the others."""
    rise = _rise(change)
    if rise is None or not rise[0]:
        return
    before, after, highest = rise
    wanted = len({n.number for n in change.fresh if before <= (n.number or 0) < after})
    if highest + 1 < after or after - before <= wanted + _GAP or change.description.cost is None:
        return
    macro = change.description.limit_macro or ""
    yield Hit(
        change.after.limit_place or change.after.numbers[-1].place,
        macro,
        f"{macro} rises by {after - before} for {wanted} number{'s' if wanted != 1 else ''}"
        f"{_cost(change, after - before)}",
        key=f"{after}",
    )


def limit_lowered(change: SpaceChange) -> Iterator[Hit]:
    """The limit falls, so that numbers which were taken are refused."""
    before, after = change.before.limit if change.before else None, change.after.limit
    macro = change.description.limit_macro or ""
    if before is not None and after is None and change.before and change.after.numbers:
        yield Hit(
            change.before.limit_place or change.after.numbers[-1].place,
            macro,
            f"{macro} is gone: nothing says any more which numbers are refused",
            key="gone",
            removed=change.before.limit_place is not None,
        )
    if before is None or after is None or after >= before:
        return
    value = change.description.value_of
    yield Hit(
        change.after.limit_place or change.after.numbers[-1].place,
        macro,
        f"{macro} falls from {value(before)} to {value(after)}: numbers from {after} on, which "
        "callers and saved guests may carry, are refused",
        key=f"{before} {after}",
    )


def _rise(change: SpaceChange) -> tuple[int, int, int] | None:
    """Returns the limit before and after, and the largest number that it bounds."""
    # A limit that is new rises from nothing.
    before, after = (change.before.limit or 0) if change.before else None, change.after.limit
    if before is None or after is None or after <= before:
        return None
    numbers = [
        n.number
        for n in change.after.numbers
        if n.number is not None and change.description.bounded(n.number)
    ]
    return before, after, max(numbers, default=-1)


def _cost(change: SpaceChange, numbers: int) -> str:
    cost = change.description.cost
    if cost is None:
        return ""
    return f": +{cost.bytes * numbers} bytes per {cost.per} ({cost.of})"
