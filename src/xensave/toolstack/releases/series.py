"""A series as a target: what each of its point releases answers, and the worst of it.

Point releases differ where a dated row begins or ends between them. Those that no row tells apart
answer alike, and are asked once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import series_numbers
from xensave.catalogue.points import asked_for, points_of, span
from xensave.engine.verdict import Accepted, Depends, Refused, Verdict

LOADERS = {
    "xensave.engine.handlers.cpu": "CPU",
    "xensave.engine.handlers.efer": "CPU",
    "xensave.engine.handlers.msr": "CPU_MSR",
    "xensave.engine.handlers.xsave": "CPU_XSAVE",
    "xensave.engine.handlers.devices": "",
    "xensave.engine.handlers.vcpu": "",
    "xensave.engine.loop.load": "",
}
"""The modules whose rows a bare context is judged by, and the record that they are of."""

PV_RESTORERS = (
    "xensave.engine.pv.basic",
    "xensave.engine.pv.extended",
    "xensave.engine.pv.msrs",
    "xensave.engine.pv.xsave",
)
"""The modules whose rows the vCPUs of a PV guest are judged by."""

RESTORERS = (
    *LOADERS,
    "xensave.policy.steps.clamp",
    "xensave.policy.steps.compatible",
    "xensave.policy.host",
    "xensave.policy.steps.invent",
    "xensave.policy.limits",
    "xensave.rules.stream.formats.hvm",
    "xensave.rules.stream.formats.libxc",
    "xensave.rules.stream.libxc.pv",
    "xensave.rules.stream.libxc.static_data",
    "xensave.toolstack.libxl.creation",
    "xensave.toolstack.libxl.dm_arguments",
    "xensave.toolstack.libxl.exclusions",
    "xensave.toolstack.libxl.hardware",
    "xensave.toolstack.libxl.json_types",
    "xensave.toolstack.libxl.resources",
    "xensave.toolstack.libxl.sizes",
    "xensave.toolstack.libxc.hypercalls",
    "xensave.toolstack.libxc.param_rules",
    "xensave.toolstack.xl",
)
"""The modules whose rows a whole image is judged by, beside those of PV guests."""

_ANY = "<release>"
_DEEPEST = 8
_POINT = re.compile(r"\d+\.\d+\.\d+")


class Answer(NamedTuple):
    """What consecutive point releases answer alike."""

    points: tuple[str, ...]
    verdict: Verdict

    @property
    def span(self) -> str:
        """The point releases as a range: "4.15.0 - 4.15.2"."""
        return span(self.points)


class SeriesVerdict(NamedTuple):
    """What a target answers, spelled as the caller did: by its point releases, oldest first."""

    target: str
    answers: tuple[Answer, ...]

    @property
    def worst(self) -> Verdict:
        """The verdict that counts: a refusal before what depends before an acceptance."""
        return max((answer.verdict for answer in self.answers), key=_badness)

    @property
    def alike(self) -> bool:
        """Whether all point releases answer alike."""
        return len(self.answers) == 1

    def named(self, answer: Answer) -> str:
        """Returns what an answer's point releases are called: the target, where all are alike."""
        return self.target if self.alike else answer.span


def _badness(verdict: Verdict) -> int:
    return (Accepted, Depends, Refused).index(type(verdict))


def ask(
    target: str,
    records: frozenset[str] | None,
    judge: Callable[[str], Verdict],
    *,
    pv: bool = True,
) -> SeriesVerdict:
    """Asks each point release that a target stands for.

    `records` are those of a bare context, `pv` says whether an image may be of a PV guest.
    Raises UsageError for a release that there is not.
    """
    points = asked_for(target)
    groups = list(_groups(points, records, pv=pv))
    answers: list[Answer] = []
    for group in groups:
        # No release is called so: what differs only in the release's name comes to the same.
        verdict = naming(judge(group[0]), group[0], _ANY)
        if answers and _same(answers[-1].verdict, verdict):
            answers[-1] = answers[-1]._replace(points=answers[-1].points + group)
        else:
            answers.append(Answer(group, verdict))
    verdicts = SeriesVerdict(target, tuple(answers))
    return verdicts._replace(
        answers=tuple(
            answer._replace(verdict=naming(answer.verdict, _ANY, verdicts.named(answer)))
            for answer in answers
        )
    )


def dated_records(keys: Iterable[tuple[int, int]]) -> frozenset[str]:
    """Returns which records have rules that differ between point releases, by a context's keys."""
    typecodes = {typecode for typecode, _ in keys}
    dated = {record for record in LOADERS.values() if record}
    return frozenset(name for name in dated if catalogue.typecode_of(name) in typecodes)


def _same(left: Verdict, other: Verdict) -> bool:
    """Whether two verdicts come to the same: a refusal by the same rule, or the same restore."""
    if isinstance(left, Refused) and isinstance(other, Refused):
        return (left.rule, left.record) == (other.rule, other.record)
    return left == other


def naming(verdict: Verdict, point: str, name: str) -> Verdict:
    """Returns a verdict that names a range of releases where it named the one that was asked."""
    asked = re.compile(rf"\bXen {re.escape(point)}(?![.\d])")

    def named(text: str) -> str:
        return asked.sub(f"Xen {name}", text)

    if isinstance(verdict, Refused):
        return verdict._replace(reason=named(verdict.reason))
    texts = (verdict.depends, verdict.assumes, verdict.warnings)
    depends, assumes, warnings = (tuple(map(named, each)) for each in texts)
    return verdict._replace(depends=depends, assumes=assumes, warnings=warnings)


def representatives(target: str, *, pv: bool = True) -> tuple[str, ...]:
    """Returns a point release of each group of a target's that a whole image may tell apart.

    `pv` says whether it may be of a PV guest.

    >>> representatives("4.13"), representatives("4.17.3")
    (('4.13.0', '4.13.1', '4.13.4'), ('4.17.3',))
    """
    return tuple(group[0] for group in _groups(asked_for(target), None, pv=pv))


def _groups(
    points: tuple[str, ...], records: frozenset[str] | None, *, pv: bool
) -> Iterator[tuple[str, ...]]:
    """Yields consecutive point releases that no row tells apart."""
    if len(points) == 1:
        yield points
        return
    breaks = _breaks(catalogue.normalise(points[0]), records, pv=pv)
    group: list[str] = []
    for point in points:
        if group and point in breaks:
            yield tuple(group)
            group = []
        group.append(point)
    yield tuple(group)


@cache
def _breaks(series: str, records: frozenset[str] | None, *, pv: bool) -> frozenset[str]:
    """Returns the point releases of a series with which something changes."""
    names = (*RESTORERS, *PV_RESTORERS) if pv else RESTORERS
    if records is not None:
        names = tuple(name for name, record in LOADERS.items() if not record or record in records)
    dates = {date for name in names for date in dates_of(import_module(name))}
    for variant in catalogue.release(series).variants:
        dates.add(variant.refs[0].removeprefix("RELEASE-"))
    return frozenset(date for date in dates if date in points_of(series))


def dates_of(module: ModuleType) -> Iterator[str]:
    """Yields the point releases that a module's rows name."""
    yield from _dates([value for name, value in vars(module).items() if not name.startswith("__")])


def _dates(rows: Iterable[object], depth: int = 0) -> Iterator[str]:
    for each in rows:
        if isinstance(each, str):
            if _POINT.fullmatch(each) and series_numbers(each)[2]:
                yield each
        elif isinstance(each, (tuple, list)) and depth < _DEEPEST:
            yield from _dates(each, depth + 1)
