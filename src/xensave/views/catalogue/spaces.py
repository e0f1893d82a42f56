"""Any number space, the numbers of a source, and what a limit costs: as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import wrapped

if TYPE_CHECKING:
    from xensave.catalogue.owned import OwnedRange
    from xensave.numbers.claims import Claims
    from xensave.numbers.cost import SpaceCost
    from xensave.numbers.space import NumberRow
    from xensave.numbers.spaces import SpaceRow

Object = dict[str, object]


def space_lines(
    title: str, release: str, limit: int | None, rows: Sequence[SpaceRow], width: int
) -> Iterator[str]:
    """Yields a number space as a table."""
    below = "" if limit is None else f"; numbers are below {limit}"
    yield from wrapped(f"{escape(title)}, Xen {escape(release)}{below}", width)
    yield ""
    head = ("number", "name", "first", "last", "owner", "state", "note")
    cells = [
        (number_text(row.number), row.name, row.first, row.last, row.owner, row.state, row.note)
        for row in rows
    ]
    yield from table_lines(head, cells, width, right=(0,))


def space_objects(rows: Sequence[SpaceRow]) -> list[Object]:
    """Returns a number space as objects, one a number."""
    return [row._asdict() for row in rows]


def number_line(title: str, release: str, row: SpaceRow | NumberRow) -> str:
    """Says in a line what became of one number."""
    name = f"{escape(row.name)}, " if row.name else ""
    owner = f" for {escape(row.owner)}" if row.state == "reserved" and row.owner else ""
    source = f", by {escape(row.source)}" if row.state == "reserved" and row.source else ""
    note = f"; {escape(row.note)}" if row.note else ""
    number = number_text(row.number)
    return f"{title}: {number} in Xen {escape(release)}: {name}{row.state}{owner}{source}{note}"


def source_lines(claims: Claims, width: int) -> Iterator[str]:
    """Yields which numbers a tree, a binary or a registry takes, and which it keeps for others."""
    yield from wrapped(f"{escape(claims.source)}: {claims.space}", width)
    yield ""
    cells: list[tuple[str | None, ...]] = [
        (
            number_text(row.number),
            row.name,
            "" if row.size is None else f"{row.size:,}",
            row.kind,
            row.owner or "its own",
            "used",
            row.place,
        )
        for row in sorted(claims.records, key=lambda row: (row.number, row.name or ""))
    ]
    used = {row.number for row in claims.records}
    cells += [
        (_span(owned), "", "", "", owned.owner, "reserved", _place(owned.place))
        for owned in claims.ranges
        if not all(number in used for number in range(owned.first, owned.last + 1))
    ]
    head = ("number", "name", "size", "kind", "owner", "state", "where")
    yield from table_lines(head, cells, width, right=(2,))


def source_object(claims: Claims) -> Object:
    """Returns the numbers of a source as an object."""
    return {
        "source": claims.source,
        "space": claims.space,
        "max": claims.code_max,
        "numbers": [
            {
                "number": row.number,
                "name": row.name,
                "size": row.size,
                "kind": row.kind,
                "owner": row.owner or None,
                "place": row.place or None,
            }
            for row in sorted(claims.records, key=lambda row: row.number)
        ],
        "reserved": [
            {
                "first": owned.first,
                "last": owned.last,
                "owner": owned.owner,
                "place": _place(owned.place) or None,
            }
            for owned in claims.ranges
        ],
    }


def cost_lines(cost: SpaceCost, width: int) -> Iterator[str]:
    """Yields what a limit costs."""
    rise = cost.proposed - cost.limit
    yield from wrapped(
        f"{cost.macro} from {cost.limit} to {cost.proposed} in Xen {escape(cost.release)}: "
        f"{cost.bytes_more:+,} bytes per {cost.per} ({rise:+,} entries of {cost.entry_size} bytes)",
        width,
    )
    yield from wrapped(f"the array: {cost.of}", width)


def cost_object(cost: SpaceCost) -> Object:
    """Returns what a limit costs as an object."""
    return {**cost._asdict(), "bytes_more": cost.bytes_more}


def number_text(number: int) -> str:
    """Returns a number as it is spoken of: in decimal, or in hexadecimal with an upper byte."""
    return f"{number}" if number < 0x100 else f"{number:#x}"


def _span(owned: OwnedRange) -> str:
    first, last = number_text(owned.first), number_text(owned.last)
    return first if first == last else f"{first} - {last}"


def _place(place: object) -> str:
    return escape(str(place)) if place else ""
