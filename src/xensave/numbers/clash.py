"""Where two sources claim the number space differently.

A rule takes the claims of two sources and yields clashes; each is one line of RULES. Releases of
Xen follow one another, so that a record which only one of them has is no clash between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from xensave.catalogue import MASTER, release
from xensave.catalogue.owned import SAVE_RECORD, Ranges, same_owner
from xensave.findings import ERROR, NOTE, WARNING, Severity
from xensave.numbers.changes import changes, only_grown, same_wire
from xensave.numbers.claims import (
    UPSTREAM_LAST,
    XEN,
    ClaimedRecord,
    Claims,
)

_MOST_CHANGES = 4


class Clash(NamedTuple):
    """One thing that two sources claim differently.

    `number` is the (first) number it is about, `sources` the two, `claims` what each of them says.
    """

    rule: str
    severity: Severity
    number: int
    sources: tuple[str, str]
    claims: tuple[str, str]
    message: str


def find_clashes(sources: Sequence[Claims]) -> list[Clash]:
    """Returns every clash of each pair of sources: by pair, then by number.

    >>> from xensave.numbers.sources import claims_of
    >>> find_clashes([claims_of("4.17"), claims_of("4.17")])
    []
    """
    clashes = []
    for left, right in combinations(sources, 2):
        if left == right:
            # A series whose point releases differ: that is its own history, and no clash.
            continue
        pair = [clash for rule in RULES for clash in rule(left, right)]
        clashes += sorted(pair, key=lambda clash: (clash.number, clash.rule))
    return clashes


def _number_taken_twice(left: Claims, right: Claims) -> Iterator[Clash]:
    """The same number, under two names."""
    for a, b in _by_number(left, right):
        if _same_record(a, b):
            continue
        if a.owner == b.owner == XEN:
            if a.layout and b.layout and same_wire(a.layout, b.layout):
                text = "upstream renamed the record; its bytes are the same"
                yield _clash("RECORD_RENAMED", NOTE, (left, a), (right, b), text)
                continue
            text = "upstream renamed the record, and changed it"
            if left.space != SAVE_RECORD:
                text = f"upstream's {a.number} is {a.name}, then {b.name}"
            yield _clash("RECORD_RENAMED", WARNING, (left, a), (right, b), text)
            continue
        text = f"number {a.number} is {_whose(a, left)} and {_whose(b, right)}"
        yield _clash("NUMBER_TAKEN_TWICE", ERROR, (left, a), (right, b), text)


def _name_at_two_numbers(left: Claims, right: Claims) -> Iterator[Clash]:
    """The same name, at two numbers."""
    names = {record.name: record for record in right.records if record.name}
    for a in left.records:
        b = names.get(a.name) if a.name else None
        if b is not None and a.number != b.number:
            text = f"{a.name} is number {a.number} and number {b.number}"
            yield _clash("NAME_AT_TWO_NUMBERS", ERROR, (left, a), (right, b), text)


def _layout_differs(left: Claims, right: Claims) -> Iterator[Clash]:
    """The same number and name, with another layout or size."""
    for a, b in _by_number(left, right):
        if a.name != b.name or a.name is None:
            continue
        if a.layout and b.layout:
            yield from _layouts(left, a, right, b)
        elif a.size is not None and b.size is not None and a.size != b.size:
            text = f"{a.name} is {a.size} bytes and {b.size} bytes"
            yield _clash("SIZE_DIFFERS", ERROR, (left, a), (right, b), text)


def _layouts(left: Claims, a: ClaimedRecord, right: Claims, b: ClaimedRecord) -> Iterator[Clash]:
    if a.layout is None or b.layout is None:
        return
    old, new, later = a.layout, b.layout, right
    if only_grown(new, old):
        old, new, later = new, old, left
    differences = changes(old, new)
    if old.size == new.size and not differences:
        return
    sizes = f"{a.layout.size} and {b.layout.size} bytes"
    severity: Severity
    if same_wire(old, new):
        rule, severity, text = "FIELDS_RENAMED", NOTE, f"{a.name} has the same bytes"
    elif only_grown(old, new):
        text = f"{a.name} is longer in {later.source}, {old.size} to {new.size} bytes"
        rule, severity = "LAYOUT_GROWN", WARNING
    else:
        rule, severity, text = "LAYOUT_DIFFERS", ERROR, f"{a.name} is laid out differently, {sizes}"
    details = "; ".join(str(change) for change in differences[:_MOST_CHANGES])
    if len(differences) > _MOST_CHANGES:
        details += f"; and {len(differences) - _MOST_CHANGES} more"
    text += f": {details}" if details else ""
    yield _clash(rule, severity, (left, a), (right, b), text)


def _kind_differs(left: Claims, right: Claims) -> Iterator[Clash]:
    """The same number and name, per domain in one and per vCPU in the other."""
    for a, b in _by_number(left, right):
        if a.name == b.name and a.name and a.kind and b.kind and a.kind != b.kind:
            text = f"{a.name} is per {a.kind} and per {b.kind}"
            yield _clash("KIND_DIFFERS", ERROR, (left, a), (right, b), text)


def _record_in_reservation(left: Claims, right: Claims) -> Iterator[Clash]:
    """A record at a number that the other source keeps for someone else."""
    for keeper, user in ((left, right), (right, left)):
        held_by_user = Ranges(user.ranges)
        keeping = Ranges(keeper.ranges)
        taken = {record.number for record in keeper.records}
        for record in user.records:
            for owned in keeping.touching(record.number, record.number):
                # Where the keeper uses the number itself, that is the clash.
                if same_owner(record.owner, owned.owner) or record.number in taken:
                    continue
                if any(
                    same_owner(own.owner, owned.owner)
                    for own in held_by_user.touching(owned.first, owned.last)
                ):
                    continue
                text = f"{_whose(record, user)} lies in {owned}, kept for {owned.owner}"
                keeps = (keeper, f"{owned} kept for {owned.owner}")
                yield _clash("NUMBER_RESERVED", ERROR, keeps, (user, record), text)


def _ranges_overlap(left: Claims, right: Claims) -> Iterator[Clash]:
    """Numbers kept for two owners."""
    others = Ranges(right.ranges)
    for a in left.ranges:
        for b in others.touching(a.first, a.last):
            if same_owner(a.owner, b.owner):
                continue
            text = f"{a} is kept for {a.owner}, {b} for {b.owner}"
            first = max(a.first, b.first)
            texts = (left, f"{a} kept for {a.owner}"), (right, f"{b} kept for {b.owner}")
            yield _clash("RANGES_OVERLAP", ERROR, *texts, text, number=first)


def _number_not_granted(left: Claims, right: Claims) -> Iterator[Clash]:
    """A downstream's number among those that upstream gives out itself, and has not given it."""
    for xen, other in ((left, right), (right, left)):
        if not xen.upstream or other.upstream or xen.space != SAVE_RECORD:
            continue
        taken = {record.number for record in xen.records}
        reserved = release(MASTER).reservations
        granted = Ranges([*xen.ranges, *reserved])
        for record in other.records:
            if record.owner == XEN or record.number > UPSTREAM_LAST or record.number in taken:
                continue
            if any(granted.touching(record.number, record.number)):
                continue
            text = (
                f"{_whose(record, other)} takes a number that upstream gives out and has not "
                f"given: the largest in {xen.source} is {xen.code_max}"
            )
            texts = (xen, f"free, below {UPSTREAM_LAST + 1}")
            yield _clash("NUMBER_NOT_GRANTED", ERROR, texts, (other, record), text)


RULES: tuple[Callable[[Claims, Claims], Iterator[Clash]], ...] = (
    _number_taken_twice,
    _name_at_two_numbers,
    _layout_differs,
    _kind_differs,
    _record_in_reservation,
    _ranges_overlap,
    _number_not_granted,
)

_Claim = tuple[Claims, ClaimedRecord | str]


def _clash(  # noqa: PLR0917 - a rule, the two claims and what is said of them
    rule: str,
    severity: Severity,
    left: _Claim,
    right: _Claim,
    message: str,
    number: int | None = None,
) -> Clash:
    """A clash, by default over the number of the first claim that is a record."""
    claims = left[1], right[1]
    if number is None:
        number = next(claim.number for claim in claims if isinstance(claim, ClaimedRecord))
    texts = _claim_text(left[1]), _claim_text(right[1])
    return Clash(rule, severity, number, (left[0].source, right[0].source), texts, message)


def _claim_text(claim: ClaimedRecord | str) -> str:
    if isinstance(claim, str):
        return claim
    size = "" if claim.size is None else f", {claim.size} bytes"
    place = f" ({claim.place})" if claim.place else ""
    return f"{claim.number} {claim.title}{size}{place}"


def _whose(record: ClaimedRecord, source: Claims) -> str:
    owner = record.owner or source.source
    return f"{record.title} of {owner}"


def _by_number(left: Claims, right: Claims) -> Iterator[tuple[ClaimedRecord, ClaimedRecord]]:
    """The records of both at the same numbers; a tree may bind one number more than once."""
    at: dict[int, list[ClaimedRecord]] = {}
    for b in right.records:
        at.setdefault(b.number, []).append(b)
    for a in left.records:
        for b in at.get(a.number, ()):
            yield a, b


def _same_record(a: ClaimedRecord, b: ClaimedRecord) -> bool:
    """A name tells whether both mean the same record; without one the owner does."""
    if a.name is None or b.name is None:
        return same_owner(a.owner, b.owner)
    return a.name == b.name
