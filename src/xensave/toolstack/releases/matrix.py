"""Release by release: what a typical guest of one meets on another, as the engine says."""

from __future__ import annotations

from typing import NamedTuple

from xensave import catalogue
from xensave.engine.domain import HVM, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.verdict import Depends, Refused, Verdict
from xensave.policy.steps.default import default_policy
from xensave.toolstack.releases.typical import typical_context

RESTORES = "restores"
FIXUP = "restores with a fix-up"
REFUSED = "refused"
DEPENDS = "depends"


def outcome(verdict: Verdict) -> str:
    """Return what a verdict comes to: RESTORES, FIXUP, REFUSED or DEPENDS."""
    if isinstance(verdict, Refused):
        return REFUSED
    if isinstance(verdict, Depends):
        return DEPENDS
    return FIXUP if verdict.fixups else RESTORES


class Row(NamedTuple):
    """What stands at the left, and its verdicts by column."""

    label: str
    verdicts: tuple[Verdict, ...]


class Matrix(NamedTuple):
    """Verdicts by row (a release that saved, or an input) and column (a release that restores)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def all_restore(self) -> bool:
        """Whether every cell restores."""
        return all(verdict.accepted for row in self.rows for verdict in row.verdicts)


def release_matrix(kind: str = HVM, *, stream: bool = True) -> Matrix:
    """Return what a typical guest of each release meets on each.

    The guest is one of one vCPU without Viridian, its context made from the catalogue
    (`xensave.toolstack.releases.typical`). With `stream` the stream's version is judged before the
    context, as the toolstack would; a legacy stream (before 4.6) counts as convertible from 4.6 on,
    where Xen brings a converter. The policy is the saving release's default on the sample images'
    host.

    >>> table = release_matrix()
    >>> row = next(row for row in table.rows if row.label == "4.21")
    >>> row.verdicts[table.columns.index("4.17")].record
    'LAPIC[0]'
    """
    names = tuple(catalogue.release_names())
    rows = []
    for source in names:
        context = typical_context(source, kind)
        policy = default_policy(source)
        verdicts = []
        for target in names:
            verdict = _stream_verdict(source, target) if stream else None
            if verdict is None:
                verdict = Hypervisor(target, Domain(kind), policy).load(context)
            verdicts.append(verdict)
        rows.append(Row(source, tuple(verdicts)))
    return Matrix("A typical guest of the row's release on the column's", names, tuple(rows))


def _stream_verdict(source: str, target: str) -> Verdict | None:
    """Return the refusal of the stream that a release writes, or None where it is read."""
    written = catalogue.release(source).stream_write
    reads = catalogue.release(target).stream_read
    if written in reads or not written:
        return None
    reason = f"streams of version {written} are not read"
    return Refused("LIBXC_VERSION", reason, layer="libxc", record="libxc header")
