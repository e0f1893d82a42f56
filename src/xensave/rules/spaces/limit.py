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
            value = change.description.value_of
            text = f"{n.macro} is {n.number}, and {macro} stays at {value(limit)}"
            remedy = f"Raise {macro} to {value(n.number + 1)}."
            yield Hit.on(n, text, f"{n.number} {limit}", remedy=remedy)


def limit_raised(change: SpaceChange) -> Iterator[Hit]:
    """The limit rises past every number."""
    rise = _rise(change)
    if rise is None:
        return
    before, after, highest = rise
    value = change.description.value_of
    needed = max(highest + 1, before)
    if value(after) <= value(needed):
        return
    macro = change.description.limit_macro
    rises = f"rises from {value(before)} to" if before else "is"
    text = f"{macro} {rises} {value(after)}, and the largest number is {highest}"
    remedy = f"Leave {macro} at {value(needed)}; raise it with the number that needs it."
    yield change.on_limit(f"{text}{_cost(change, after - needed)}", f"{after}", remedy=remedy)


def limit_raised_far(change: SpaceChange) -> Iterator[Hit]:
    """The limit rises for a number that lies far above the others."""
    rise = _rise(change)
    if rise is None or not rise[0]:
        return
    before, after, highest = rise
    wanted = len({n.number for n in change.fresh if before <= (n.number or 0) < after})
    if highest + 1 < after or after - before <= wanted + _GAP or change.description.cost is None:
        return
    numbers = f"{wanted} number{'s' if wanted != 1 else ''}{_cost(change, after - before)}"
    text = f"{change.description.limit_macro} rises by {after - before} for {numbers}"
    yield change.on_limit(text, f"{after}")


def limit_lowered(change: SpaceChange) -> Iterator[Hit]:
    """The limit falls, so that numbers which were taken are refused."""
    before, after, macro = change.was.limit, change.after.limit, change.description.limit_macro
    if before is not None and after is None and change.after.numbers:
        text = f"{macro} is gone: nothing says any more which numbers are refused"
        yield change.on_limit(text, "gone", removed=True)
    if before is None or after is None or after >= before:
        return
    value = change.description.value_of
    text = (
        f"{macro} falls from {value(before)} to {value(after)}: numbers from {after} on, which "
        "callers and saved guests may carry, are refused"
    )
    yield change.on_limit(text, f"{before} {after}")


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
