"""Which record numbers a downstream should take, by the rules of December 2019's review.

The review of "x86/save: reserve HVM save record numbers that have been consumed..." stated them: a
number that is deployed and compatible with upstream is kept; an incompatible change takes a new
one; only what is in use is reserved, and by a comment, without raising the maximum; a new
downstream number does not follow upstream's, but lies high in the space, with the vendor's letter
as its upper byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue import MASTER, release
from xensave.catalogue.owned import SAVE_RECORD, TYPECODE_MAX, OwnedRange, same_owner, spans
from xensave.catalogue.registry import Registry
from xensave.errors import UsageError
from xensave.headers.spaces import description_of
from xensave.numbers.claims import UPSTREAM_LAST
from xensave.numbers.space import release_title
from xensave.numbers.spaces import SpaceRow, limit_at, space_rows

Action: TypeAlias = Literal["keep", "move", "take"]
KEEP: Final = "keep"
MOVE: Final = "move"
TAKE: Final = "take"
_PAGE = 0x100
# New numbers start where others leave room to grow.
_STEP = 0x10
_UNUSED_BY_OTHERS = "deployed, and used by no one else"


class Suggestion(NamedTuple):
    """What to do with a number, and why. `replaces` is the number that a MOVE leaves."""

    action: Action
    number: int
    reason: str
    replaces: int | None = None


class Advice(NamedTuple):
    """The suggestions for a vendor, and what to mind of them all."""

    vendor: str
    release: str
    suggestions: tuple[Suggestion, ...]
    notes: tuple[str, ...]


def advise(
    vendor: str,
    *,
    count: int | None = None,
    keep: Iterable[int] = (),
    registries: Sequence[Registry] = (),
    release_name: str = MASTER,
    space: str = SAVE_RECORD,
) -> Advice:
    """Returns which numbers a vendor keeps, moves from and takes.

    `keep` are its deployed numbers, `count` how many new ones it wants besides (one, if it has
    none to keep), `registries` those of everyone, its own too.

    >>> [(found.action, hex(found.number)) for found in advise("Acme", count=2).suggestions]
    [('take', '0x4100'), ('take', '0x4101')]

    Raises UsageError where the vendor has no letter, or the page of its letter no room.
    """
    if space != SAVE_RECORD:
        return _advise_space(vendor, count, set(keep), registries, release_name, space)
    deployed = sorted(set(keep))
    reserved = _reserved(registries, release_name)
    wanted = count if count is not None else int(not deployed)
    if not 0 <= wanted <= _PAGE:
        raise UsageError(f"a count is a number from 0 to {_PAGE}")
    stays = [(number, _obstacle(vendor, number, reserved, release_name)) for number in deployed]
    moved = sum(why is not None for _, why in stays)
    fresh = _fresh(vendor, moved + wanted, reserved, {*deployed, *_used(vendor, registries)})
    suggestions = _suggestions(
        [(number, f"{why}: what is incompatible" if why else None) for number, why in stays],
        fresh,
        stays=lambda number: _why_kept(vendor, number, reserved),
        fresh_because=lambda number: _why_taken(vendor, number, reserved),
    )
    notes = _notes(vendor, [n for n, why in stays if not why], fresh, reserved, release_name)
    return Advice(vendor, release_title(release_name), suggestions, tuple(notes))


def _advise_space(  # noqa: PLR0917 - the options of advise()
    vendor: str,
    count: int | None,
    keep: set[int],
    registries: Sequence[Registry],
    release_name: str,
    space: str,
) -> Advice:
    """Advice for another number space: what an array is indexed by has no far end to go to."""
    wanted = count if count is not None else int(not keep)
    if not 0 <= wanted <= _PAGE:
        raise UsageError(f"a count is a number from 0 to {_PAGE}")
    rows = {row.number: row for row in space_rows(space, release_name, registries)}
    stays = [(number, _clash(rows.get(number), vendor)) for number in sorted(keep)]
    moved = sum(why is not None for _, why in stays)
    fresh = _fresh_of_space(vendor, wanted + moved, {*rows, *keep}, release_name, space)
    limit = limit_at(space, release_name)
    why = "high in the space, with the vendor's letter as the upper byte"
    if limit is not None:
        why = "the next that upstream has not given: ask for it before it is used"
    suggestions = _suggestions(
        stays, fresh, stays=lambda _: _UNUSED_BY_OTHERS, fresh_because=lambda _: why
    )
    notes = [f"state what you deploy in a registry file, with space = {space!r}"]
    cost = description_of(space).cost
    if limit is not None and cost is not None:
        notes.append(
            f"{description_of(space).limit_macro} bounds the numbers: each one more costs "
            f"{cost.bytes} bytes per {cost.per} ({cost.of})"
        )
    return Advice(vendor, release_title(release_name), suggestions, tuple(notes))


def _clash(row: SpaceRow | None, vendor: str) -> str | None:
    if row is None or same_owner(row.owner or "", vendor):
        return None
    return f"{row.number} is {row.name or 'kept'} of {row.owner}: what clashes"


def _suggestions(
    deployed: Sequence[tuple[int, str | None]],
    fresh: Sequence[int],
    *,
    stays: Callable[[int], str],
    fresh_because: Callable[[int], str],
) -> tuple[Suggestion, ...]:
    """What becomes of each deployed number, by what is in its way, and of the new ones."""
    moved = [(number, why) for number, why in deployed if why]
    return (
        *(Suggestion(KEEP, number, stays(number)) for number, why in deployed if not why),
        *(
            Suggestion(MOVE, new, f"{why} takes a new number", number)
            for new, (number, why) in zip(fresh, moved, strict=False)
        ),
        *(Suggestion(TAKE, new, fresh_because(new)) for new in fresh[len(moved) :]),
    )


def _fresh_of_space(
    vendor: str, count: int, taken: set[int], release_name: str, space: str
) -> list[int]:
    limit = limit_at(space, release_name)
    first = page_of(vendor) * _PAGE if limit is None else limit
    while any(first + n in taken for n in range(count)):
        first += _STEP if limit is None else 1
    return [first + n for n in range(count)]


def page_of(vendor: str) -> int:
    """Returns the upper byte of a vendor's numbers: its first letter, as ASCII has the capital.

    Raises UsageError for a name without a letter.

    >>> hex(page_of("Amazon")), hex(page_of("3Par"))
    ('0x41', '0x50')
    """
    page = _letter(vendor)
    if page is None:
        raise UsageError(f"{vendor!r} has no letter from A to Z to begin its numbers with")
    return page


def _letter(owner: str) -> int | None:
    return next((ord(c.upper()) for c in owner if c.isascii() and c.isalpha()), None)


def _reserved(registries: Sequence[Registry], release_name: str) -> list[OwnedRange]:
    reserved = {*release(MASTER).reservations, *release(release_name).reservations}
    ranges = [owned._replace(source="Xen's headers") for owned in reserved]
    for registry in registries:
        ranges += registry.ranges_of()
    return sorted(ranges, key=lambda owned: (owned.first, owned.last, owned.owner, owned.source))


def _obstacle(
    vendor: str, number: int, reserved: list[OwnedRange], release_name: str
) -> str | None:
    """Why a deployed number cannot stay, None where it can."""
    if number > TYPECODE_MAX:
        raise UsageError(f"{number} is no number of a record: typecodes have 16 bits")
    for name in dict.fromkeys((release_name, MASTER)):
        binding = release(name).binding(number)
        if binding is not None:
            return f"{number} is {binding.name} in {_called(name)}"
    for other in reserved:
        if number in other and not same_owner(other.owner, vendor):
            return f"{number} is kept for {other.owner} ({other.source})"
    return None


def _why_kept(vendor: str, number: int, reserved: list[OwnedRange]) -> str:
    for own in reserved:
        if number in own and same_owner(own.owner, vendor):
            return f"deployed, and kept for {vendor} in {own.source}"
    return _UNUSED_BY_OTHERS


def _why_taken(vendor: str, number: int, reserved: list[OwnedRange]) -> str:
    page = number // _PAGE
    text = f"high in the space: upper byte {page:#04x} is {chr(page)!r}, for {vendor}"
    for own in reserved:
        if number in own and same_owner(own.owner, vendor):
            return f"free in {vendor}'s own range, {own.first:#x} - {own.last:#x} ({own.source})"
    return text


def _used(vendor: str, registries: Sequence[Registry]) -> Iterator[int]:
    for registry in registries:
        if same_owner(registry.owner, vendor):
            yield from (used.number for used in registry.used())


def _fresh(vendor: str, count: int, reserved: list[OwnedRange], taken: set[int]) -> list[int]:
    """New numbers: what is free in the vendor's own high ranges, else a block of its page."""
    if not count:
        return []
    start = page_of(vendor) * _PAGE
    page = range(start, start + _PAGE)
    own, others = set[int](), set(taken)
    for owned in reserved:
        span = range(max(owned.first, start), min(owned.last + 1, page.stop))
        (own if same_owner(owned.owner, vendor) else others).update(span)
    registered = sorted(own - others)
    if len(registered) >= count:
        return registered[:count]
    others |= own
    for first in page[::_STEP]:
        block = range(first, first + count)
        if block.stop <= page.stop and others.isdisjoint(block):
            return list(block)
    free = registered + [number for number in page if number not in others]
    if len(free) < count:
        raise UsageError(
            f"{count} numbers wanted, {len(free)} free in {page.start:#x} - {page.stop - 1:#x}, "
            f"the numbers of {chr(page_of(vendor))!r}"
        )
    return free[:count]


def _notes(
    vendor: str,
    deployed: list[int],
    fresh: list[int],
    reserved: list[OwnedRange],
    release_name: str,
) -> Iterator[str]:
    series = release(release_name)
    granted = {n for r in release(MASTER).reservations for n in range(r.first, r.last + 1)}
    low = [number for number in deployed if number <= UPSTREAM_LAST and number not in granted]
    if low:
        yield (
            f"ask upstream to keep just {spans(low)} for {vendor}, by a comment in "
            f"arch-x86/hvm/save.h: no headroom, and HVM_SAVE_CODE_MAX stays {series.code_max}"
        )
    if not fresh:
        return
    most = max(fresh)
    yield (
        f"leave HVM_SAVE_CODE_MAX at {series.code_max}: a table indexed by number would take "
        f"{most + 1:,} entries, {(most + 1) * series.entry_size:,} bytes, for {most:#x}; keep a "
        "sparse table (see xensave cost)"
    )
    neighbours = sorted(
        {
            other.owner
            for other in reserved
            if not same_owner(other.owner, vendor) and _letter(other.owner) == _letter(vendor)
        }
    )
    if neighbours:
        yield (
            f"of the same letter: {', '.join(neighbours)}; numbers that are in no registry given "
            "here cannot be seen"
        )
    yield "state what you deploy in a registry file, and check it with xensave clash"


def _called(name: str) -> str:
    return "upstream's master" if name == MASTER else f"Xen {release_title(name)}"
