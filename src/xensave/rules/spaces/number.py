"""Rules on the numbers of a space: a number never means two things, and never goes away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from xensave.catalogue.owned import OwnedRange
from xensave.findings import NOTE
from xensave.headers.text.numbers import SpaceNumber
from xensave.rules.numbers.model import Hit
from xensave.rules.spaces.model import SpaceChange

_MOST_HOLDERS = 8


def number_taken(change: SpaceChange) -> Iterator[Hit]:
    """A name gets a number that another name has."""
    fresh = {id(n) for n in change.fresh}
    holders = _by_number(change.after.numbers)
    for n in change.fresh:
        holder = next(
            (
                other
                for other in holders[n.number or 0]
                if other.name != n.name
                and not other.alias
                and not n.excludes(other)
                and (id(other) not in fresh or _place(other) < _place(n))
            ),
            None,
        )
        if holder is not None:
            where = f" ({holder.place})" if holder.place.line else ""
            text = f"{n.macro} takes {_figure(n)}, which {holder.macro} has{where}"
            # Before its first release a space is still being made.
            yield Hit.on(
                n, text, f"{n.number} {holder.name}", severity=None if change.past else NOTE
            )


def number_reused(change: SpaceChange) -> Iterator[Hit]:
    """A number that once meant one thing means another."""
    there = {n.number for n in change.was.numbers if not n.alias}
    gone = {n.number: n for n in change.gone}
    retired = {n.number: n.name for n in (*change.was.retired, *change.after.retired)}
    for n in change.fresh:
        released = change.past.get(n.number or 0, frozenset())
        was = gone.get(n.number)
        earlier = {was.name} if was is not None else set(released)
        if n.number in retired:
            earlier.add(retired[n.number])
        if (was is None and n.number in there) or n.name in released:
            continue
        if not earlier or any(_alike(n.name, name) for name in earlier):
            continue
        known = bool(earlier & set(retired.values()))
        excuse, severity = change.leniency(min(earlier), n.number, retired=known)
        names = " and ".join(sorted(earlier))
        text = f"{n.macro} takes {_figure(n)}, which was {names}: whoever knows the old meaning "
        what = f"{text}takes one for the other{excuse}"
        yield Hit.on(n, what, f"{n.number}", severity=severity)


def number_renamed(change: SpaceChange) -> Iterator[Hit]:
    """A number keeps its meaning and gets another name."""
    gone = {n.number: n for n in change.gone}
    for n in change.fresh:
        was = gone.get(n.number)
        if was is not None and _alike(was.name, n.name):
            yield Hit(n.place, was.macro, f"{_figure(n)}: {was.macro} is now {n.macro}", key=n.name)


def number_moved(change: SpaceChange) -> Iterator[Hit]:
    """A name gets another number."""
    had, has = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for was in change.was.numbers:
        if not was.alias and was.number is not None:
            had[was.name].add(was.number)
    for now in change.after.numbers:
        has[now.name].add(now.number or 0)
    for n in change.fresh:
        before = had[n.name]
        if before and before.isdisjoint(has[n.name]):
            old = min(before)
            excuse, severity = change.leniency(n.name, old)
            text = f"{n.macro} moves from {old} to {_figure(n)}{excuse}"
            yield Hit.on(n, text, f"{old} {n.number}", severity=severity)


def number_deleted(change: SpaceChange) -> Iterator[Hit]:
    """A number that was given out is stated no more, so that the next one may get it."""
    left = {n.number for n in (*change.after.numbers, *change.after.retired)}
    for n in change.gone:
        if n.number in left:
            continue
        excuse, severity = change.leniency(n.name, n.number)
        text = f"{n.macro} ({_figure(n)}) is deleted, and nothing says that its number was used"
        yield Hit.on(n, f"{text}{excuse}", removed=True, severity=severity)


def number_beyond_wire(change: SpaceChange) -> Iterator[Hit]:
    """A number does not fit what carries it."""
    most = change.description.most
    for n in change.after.numbers:
        if n.number is not None and not 0 <= n.number <= most:
            text = f"{n.macro} has number {n.number}; there is room for 0 - {most:#x}"
            yield Hit.on(n, text, f"{n.number}")


def value_unknown(change: SpaceChange) -> Iterator[Hit]:
    """The number of a name is not told by what can be read here."""
    for n in change.after.numbers:
        if n.number is None:
            yield Hit.on(n, f"{n.macro} is {n.value!r}, which is no number here")


def taken_from_owner(change: SpaceChange) -> Iterator[Hit]:
    """A name gets a number that a registry or a comment keeps for an owner."""
    claims = list(_claims(change))
    own = {(n.name, n.number) for n in change.space.numbers}
    for n in change.fresh:
        if (n.name, n.number) in own:
            continue
        keeping = [claim for claim in claims if n.number in claim]
        theirs = {claim.owner_key for claim in keeping if _is_the_owners(n, claim)}
        claim = next((claim for claim in keeping if claim.owner_key not in theirs), None)
        if claim is not None:
            use = claim.use_of(n.number or 0)
            called = f", and calls {use.name}" if use is not None and use.name else ""
            text = f"{n.macro} takes {_figure(n)}, which {claim.source} keeps for {claim.owner}"
            yield Hit.on(n, f"{text}{called}", f"{n.number} {claim.owner}")


def document_differs(change: SpaceChange) -> Iterator[Hit]:
    """The header and the specification give one name two numbers."""
    if change.other is None or not change.description.same_names:
        return
    there = {n.name: n for n in change.other.numbers}
    for n in change.after.numbers:
        other = there.get(n.name)
        if n.number is not None and other is not None and other.number != n.number:
            text = f"{n.name} is {n.number:#x} here and {other.number or 0:#x} in {other.place}"
            yield Hit.on(n, text, f"{n.number} {other.number}")


def number_undocumented(change: SpaceChange) -> Iterator[Hit]:
    """The header has a name that the specification does not list."""
    if change.other is None or not change.description.same_names:
        return
    there = {n.name for n in change.other.numbers}
    for n in change.after.numbers:
        if n.name not in there and not n.alias:
            path = change.other.path
            yield Hit.on(n, f"{n.name} is not in {path}", path, severity=NOTE)


def _claims(change: SpaceChange) -> Iterator[OwnedRange]:
    space = change.description.space
    yield from (claim for claim in change.claims if claim.owner and claim.space == space)
    for owned in (*change.after.reservations, *change.was.reservations):
        yield owned._replace(source=str(owned.place))


def _is_the_owners(n: SpaceNumber, claim: OwnedRange) -> bool:
    use = claim.use_of(n.number or 0)
    return use is not None and use.name is not None and use.name.casefold() == n.name.casefold()


def _by_number(numbers: Iterable[SpaceNumber]) -> Mapping[int, list[SpaceNumber]]:
    """Numbers by figure, a few of each: one holder is enough to tell."""
    by_number = defaultdict[int, list[SpaceNumber]](list)
    for n in numbers:
        if n.number is not None and len(by_number[n.number]) < _MOST_HOLDERS:
            by_number[n.number].append(n)
    return by_number


def _alike(left: str, other: str) -> bool:
    """Tells whether one name may stand for the other: a word is shared, or one is a placeholder."""
    return bool(_words(left) & _words(other)) or "reserved" in f"{left} {other}".casefold()


def _words(name: str) -> set[str]:
    return {word for word in name.casefold().split("_") if len(word) > 2} - _EMPTY_WORDS


_EMPTY_WORDS = frozenset({"get", "set", "new", "old", "the", "data"})


def _figure(n: SpaceNumber) -> str:
    number = n.number or 0
    return f"{number:#x}" if number > 0xFFFF or n.value.lower().startswith("0x") else f"{number}"


def _place(n: SpaceNumber) -> int:
    return n.place.line or 0
