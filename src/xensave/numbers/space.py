"""The number space of a release as rows: who owns each number, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue import layout, normalise, point_release, release, release_names
from xensave.catalogue.model import Binding, RecordKind, Release
from xensave.catalogue.registry import Registry
from xensave.numbers.claims import UPSTREAM_LAST, XEN
from xensave.numbers.points import bound_in

NumberState: TypeAlias = Literal["used", "reserved", "retired", "free"]
USED: Final = "used"
RESERVED: Final = "reserved"
RETIRED: Final = "retired"
FREE: Final = "free"


class NumberRow(NamedTuple):
    """A number of a release.

    `size` is the bytes of one record, of its fixed part where `flexible`; None where unknown.
    `load` is how the release takes records of another length. `source` says who states it: the
    release's headers, or a registry.
    """

    number: int
    name: str | None = None
    size: int | None = None
    kind: RecordKind | None = None
    owner: str | None = None
    state: NumberState = FREE
    layout: str | None = None
    flexible: bool = False
    load: str | None = None
    source: str | None = None
    note: str = ""


def rows(release_name: str, registries: Sequence[Registry] = ()) -> list[NumberRow]:
    """Returns the numbers of a release, in order.

    Of upstream's numbers (up to 255) there is a row for each up to the last that anyone holds, of
    those above for the held ones alone: what has no row is free.

    A number that an earlier release used and this one does not is RETIRED. One that the headers
    or a registry keep for an owner is RESERVED; what later releases did with it is in `note`.

    >>> [(row.number, row.state) for row in rows("4.17")[20:23]]
    [(20, 'used'), (21, 'free'), (22, 'reserved')]
    """
    series = release(release_name)
    table = {row.number: row for row in _unused(series, registries)}
    table |= {row.number: row for row in _bound(series, release_name)}
    end = max(number for number in [series.code_max, *table] if number <= UPSTREAM_LAST)
    for number in range(end + 1):
        table.setdefault(number, NumberRow(number))
    return [table[number] for number in sorted(table)]


def _otherwise(binding: Binding, release_name: str) -> Iterator[str]:
    """Yields what some point releases of a series have in place of a record's layout."""
    for bound in bound_in(binding.name, release_name):
        if bound.binding is not None and bound.binding.layout != binding.layout:
            yield f"{bound.size:,} bytes in {bound.span}"


def _bound(series: Release, release_name: str) -> Iterator[NumberRow]:
    for binding in series.bindings:
        record_layout = layout(binding.layout)
        note = "fixed part; data follows" if record_layout.flexible else ""
        if binding.instances > 1:
            note = f"{binding.instances} a domain"
        note = "; ".join([*([note] if note else []), *_otherwise(binding, release_name)])
        yield NumberRow(
            number=binding.typecode,
            name=binding.name,
            size=record_layout.size,
            kind=binding.kind,
            owner=XEN,
            state=USED,
            layout=record_layout.id,
            flexible=record_layout.flexible,
            load=binding.load,
            source="headers",
            note=note,
        )


def _unused(series: Release, registries: Sequence[Registry]) -> Iterator[NumberRow]:
    """Rows for what the release itself does not bind; of two for a number the last one holds."""
    yield from _elsewhere(series)
    for registry in registries:
        used = {number.number: number for number in registry.used()}
        for owned in registry.ranges_of():
            for number in range(owned.first, owned.last + 1):
                entry = used.get(number)
                yield NumberRow(
                    number=number,
                    name=entry.name if entry else None,
                    size=entry.size if entry else None,
                    kind=entry.kind if entry else None,
                    owner=registry.owner,
                    state=RESERVED,
                    source=registry.source,
                    note="in use downstream" if entry else "",
                )
    known = {number.number for registry in registries for number in registry.used()}
    for reservation in series.reservations:
        for number in range(reservation.first, reservation.last + 1):
            note = "in use downstream" if number in known else ""
            owner = reservation.owner
            yield NumberRow(number, owner=owner, state=RESERVED, source="headers", note=note)


def _elsewhere(series: Release) -> Iterator[NumberRow]:
    """Numbers that other releases use: retired before this one, or taken after it."""
    names = release_names()
    here = names.index(normalise(series.name))
    for name in reversed(names[here + 1 :]):
        for later in release(name).bindings:
            note = f"{later.name} from {name}"
            yield NumberRow(later.typecode, note=note)
    for name in names[:here]:
        for old in release(name).bindings:
            size, note = layout(old.layout).size, f"until {name}"
            yield NumberRow(
                old.typecode, old.name, size, old.kind, XEN, RETIRED, old.layout, note=note
            )


def folded(table: Iterable[NumberRow]) -> Iterator[tuple[int, NumberRow]]:
    """Yields (last number, first row) of each run of rows that differ in the number alone."""
    run: tuple[int, NumberRow] | None = None
    for row in table:
        same = run and run[0] + 1 == row.number and run[1]._replace(number=row.number) == row
        if run and same and row.state != USED:
            run = (row.number, run[1])
            continue
        if run:
            yield run
        run = (row.number, row)
    if run:
        yield run


def release_title(name: str) -> str:
    """Returns what to call a release that a person named in any way.

    >>> release_title("RELEASE-4.17.7"), release_title("xen-4.17"), release_title("unstable")
    ('4.17.7', '4.17', 'master')
    """
    point = point_release(name)
    return normalise(name) if point is None else ".".join(str(number) for number in point)
