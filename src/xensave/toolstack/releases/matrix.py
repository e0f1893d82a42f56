"""Release by release: what a typical guest of one meets on another, as the engine says."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from xensave import catalogue
from xensave.catalogue.points import points_of
from xensave.container.streams.hvm import keys_of
from xensave.engine.domain import HVM, Domain, DomainType
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.verdict import Depends, Layer, Refused, Verdict
from xensave.policy.steps.default import default_policy
from xensave.toolstack.releases.series import Answer, SeriesVerdict, ask, dated_records
from xensave.toolstack.releases.typical import typical_context

Outcome: TypeAlias = Literal["restores", "restores with a fix-up", "refused", "depends"]
RESTORES: Final = "restores"
FIXUP: Final = "restores with a fix-up"
REFUSED: Final = "refused"
DEPENDS: Final = "depends"


def outcome(verdict: Verdict) -> Outcome:
    """Returns what a verdict comes to: RESTORES, FIXUP, REFUSED or DEPENDS."""
    if isinstance(verdict, Refused):
        return REFUSED
    if isinstance(verdict, Depends):
        return DEPENDS
    return FIXUP if verdict.fixups else RESTORES


class Split(NamedTuple):
    """What some point releases of a row's release meet on those of a column's.

    `saved` are the row's, () where the row is no release.
    """

    saved: tuple[str, ...]
    answers: tuple[Answer, ...]


class VerdictRow(NamedTuple):
    """What stands at the left, and its verdicts by column: of point releases the worst.

    `splits` says of each column what its point releases make of those of the row, () where they
    are all alike.
    """

    label: str
    verdicts: tuple[Verdict, ...]
    splits: tuple[tuple[Split, ...], ...] = ()


class Matrix(NamedTuple):
    """Verdicts by row (a release that saved, or an input) and column (a release that restores)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[VerdictRow, ...]


def release_matrix(kind: DomainType = HVM, *, stream: bool = True) -> Matrix:
    """Returns what a typical guest of each release meets on each.

    The guest is one of one vCPU without Viridian, its context made from the catalogue
    (`xensave.toolstack.releases.typical`). A release stands for all its point releases, on either
    side: the verdict is the worst. With `stream` the stream's version is judged before the context,
    as the toolstack would; a legacy stream (before 4.6) counts as convertible from 4.6 on, where
    Xen brings a converter. The policy is the saving release's default on the sample images' host.

    >>> table = release_matrix()
    >>> row = next(row for row in table.rows if row.label == "4.21")
    >>> row.verdicts[table.columns.index("4.17")].record
    'LAPIC[0]'
    >>> row.splits[table.columns.index("4.20")][0].answers[0].span
    '4.20.0'
    """
    names = tuple(catalogue.release_names())
    rows = []
    for source in names:
        guests = _guests(source, kind)
        cells = [_cell(source, target, kind, guests, stream=stream) for target in names]
        rows.append(VerdictRow(source, tuple(map(worst, cells)), tuple(map(_split, cells))))
    return Matrix("A typical guest of the row's release on the column's", names, tuple(rows))


def worst(splits: tuple[Split, ...]) -> Verdict:
    """Returns the verdict that counts of several."""
    return SeriesVerdict("", tuple(answer for split in splits for answer in split.answers)).worst


def _split(splits: tuple[Split, ...]) -> tuple[Split, ...]:
    """Returns what some point releases refuse and others do not; () where all are alike."""
    alike = len({answer.verdict.accepted for split in splits for answer in split.answers}) == 1
    return () if alike else splits


def _guests(source: str, kind: DomainType) -> tuple[tuple[tuple[str, ...], bytes], ...]:
    """Returns the typical contexts of a release's point releases, each with those that write it."""
    guests: dict[bytes, tuple[str, ...]] = {}
    for point in points_of(source):
        context = typical_context(point, kind)
        guests[context] = (*guests.get(context, ()), point)
    return tuple((points, context) for context, points in guests.items())


def _cell(
    source: str,
    target: str,
    kind: DomainType,
    guests: tuple[tuple[tuple[str, ...], bytes], ...],
    *,
    stream: bool,
) -> tuple[Split, ...]:
    refusal = _stream_verdict(source, target) if stream else None
    if refusal is not None:
        return (Split(points_of(source), (Answer(points_of(target), refusal),)),)
    policy = default_policy(source)

    def on(context: bytes) -> tuple[Answer, ...]:
        def of_point(point: str) -> Verdict:
            return Hypervisor(point, Domain(kind), policy).load(context)

        return ask(target, dated_records(keys_of(context)), of_point).answers

    return tuple(Split(points, on(context)) for points, context in guests)


def _stream_verdict(source: str, target: str) -> Verdict | None:
    """Returns the refusal of the stream that a release writes, or None where it is read."""
    written = catalogue.release(source).stream_write
    reads = catalogue.release(target).stream_read
    if written in reads or not written:
        return None
    reason = f"streams of version {written} are not read"
    return Refused("LIBXC_VERSION", reason, layer=Layer.LIBXC, record="libxc header")
