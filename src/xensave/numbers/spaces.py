"""Any number space as rows: the save records', and every other numbered ABI of Xen's headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xensave.catalogue import numbers_of, release_names, series_of, space
from xensave.catalogue.model import Space
from xensave.catalogue.registry import Registry
from xensave.errors import UsageError
from xensave.numbers.claims import XEN
from xensave.numbers.space import FREE, RESERVED, RETIRED, USED, NumberState


class SpaceRow(NamedTuple):
    """A number of a space at a release: its name, the releases that had it, whose it is.

    `first` and `last` are None for what no release of Xen has. `note` says what else is known.
    """

    number: int
    name: str | None = None
    macro: str | None = None
    first: str | None = None
    last: str | None = None
    owner: str | None = None
    state: NumberState = FREE
    source: str | None = None
    note: str = ""


def space_rows(
    space_name: str, release_name: str, registries: Sequence[Registry] = ()
) -> list[SpaceRow]:
    """Returns the numbers of a space, in order: used, retired, or kept for an owner.

    >>> [(row.number, row.name, row.state) for row in space_rows("mapspace", "4.17")][-1]
    (5, 'dev_mmio', 'used')

    A number that nobody holds has no row.
    """
    table = {row.number: row for row in _retired(space_name, release_name)}
    for registry in registries:
        table |= {row.number: row for row in _registered(space_name, registry)}
    used: dict[int, SpaceRow] = {}
    for n in numbers_of(space_name, release_name):
        row = SpaceRow(n.number, n.name, n.macro, n.first, n.last, XEN, USED, "headers")
        other = used.get(n.number)
        used[n.number] = row if other is None else other._replace(note=f"and {n.name}")
    for number, row in used.items():
        known = table.get(number)
        clashes = known is not None and known.state == RESERVED and row.name != known.name
        note = f"{known.name or 'in use'} of {known.owner}, {known.source}" if known else ""
        table[number] = row._replace(note=note) if clashes else row
    return [table[number] for number in sorted(table)]


def state_of(
    space_name: str, number: int, release_name: str, registries: Sequence[Registry] = ()
) -> SpaceRow:
    """Returns the row of one number: FREE where nobody holds it.

    >>> state_of("hvm-param", 3, "4.17").state
    'free'
    """
    rows = space_rows(space_name, release_name, registries)
    space_row = next((row for row in rows if row.number == number), None)
    return space_row or SpaceRow(number)


def number_named(known: Space, text: str) -> int:
    """Returns the number that a person means, by its figure or its name in any case.

    >>> from xensave.catalogue import space
    >>> number_named(space("hvm-param"), "viridian"), number_named(space("mapspace"), "0x3")
    (9, 3)

    Raises UsageError for a name that no release has.
    """
    try:
        return int(text, 0)
    except ValueError:
        for number in reversed(known.numbers):
            if text.casefold() in (number.name.casefold(), number.macro.casefold()):
                return number.number
        raise UsageError(f"no {text!r} among {known.title}") from None


def limit_at(space_name: str, release_name: str) -> int | None:
    """Returns the first number that a release does not allow, None where nothing bounds them."""
    return dict(space(space_name).limits).get(series_of(release_name))


def _retired(space_name: str, release_name: str) -> Iterator[SpaceRow]:
    known = space(space_name)
    for number, name in known.retired:
        note = "in a comment alone"
        yield SpaceRow(number, name, owner=XEN, state=RETIRED, source="headers", note=note)
    order = release_names()
    here = order.index(series_of(release_name))
    for n in known.numbers:
        if order.index(n.last) < here:
            note = f"until {n.last}"
            yield SpaceRow(
                n.number, n.name, n.macro, n.first, n.last, XEN, RETIRED, "headers", note
            )


def _registered(space_name: str, registry: Registry) -> Iterator[SpaceRow]:
    for owned in registry.ranges_of(space_name):
        numbers = {use.number: use for use in owned.used} or dict.fromkeys([owned.first])
        for number, use in numbers.items():
            yield SpaceRow(
                number, use.name if use else None, owner=registry.owner, state=RESERVED,
                source=registry.source, note="in use downstream" if use else f"{owned}",
            )  # fmt: skip
