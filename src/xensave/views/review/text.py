"""A review as text: each objection under its line, as a compiler prints its errors."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.findings import ERROR, NOTE, WARNING
from xensave.review.config import Waived
from xensave.review.patches.patch import PatchLine
from xensave.review.result import Review, ReviewResult, VersionProgress, objections_of
from xensave.rules.numbers.model import Objection
from xensave.views.review.lines import Lines
from xensave.views.text.colours import TITLE, painted
from xensave.views.text.escape import escape
from xensave.views.text.wrap import plural

_MOST_NAMES = 8


def text(result: ReviewResult, *, colour: bool = False) -> str:
    """Returns the reviews, the comparison of versions, and a line that counts."""
    parts = [line for review in result.reviews for line in _review(review, colour)]
    for progress in result.progress:
        parts += _progress(progress)
    parts += [
        f"not reviewed, touches no save header or handler: {escape(name)}"
        for name in result.skipped
    ]
    parts += [
        f"not reviewed, a diff in an answer; give that mail alone: {escape(subject)}"
        for subject in result.answers
    ]
    return "\n".join([*parts, _count(result)]) + "\n"


def _review(review: Review, colour: bool) -> Iterator[str]:
    against = f" (against {review.base}: {review.why})" if review.base else ""
    yield painted(f"{escape(review.title)}{escape(against)}", TITLE, colour=colour)
    lines = Lines(review)
    for objection in review.objections:
        yield from _objection(lines.at(objection), objection, colour)
    for waived in review.waived:
        yield _waived(waived)
    if review.trailers:
        yield "  trailers: " + "; ".join(escape(str(trailer)) for trailer in review.trailers)
    if not review.objections:
        yield "  no objection"
    if review.unseen:
        yield f"  not looked at: {escape(_several(review.unseen))}"
    yield ""


def _several(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _objection(line: PatchLine | None, objection: Objection, colour: bool) -> Iterator[str]:
    finding = objection.finding
    side = " (removed)" if objection.removed else ""
    severity = painted(finding.severity, finding.severity, colour=colour)
    place = painted(escape(str(finding.place)), TITLE, colour=colour)
    yield f"{place}{side}: {severity}: {escape(finding.message)} [{finding.rule}]"
    if line is not None:
        yield f"    {escape((line.kind + line.text).expandtabs())}"
    if finding.remedy:
        yield f"  remedy: {escape(finding.remedy)}"
    if objection.settled:
        yield f"  settled by {escape(objection.settled)}"


def _waived(waived: Waived) -> str:
    finding = waived.objection.finding
    return f"  waived: {finding.place}: {finding.rule}: {escape(waived.reason)}"


def _progress(progress: VersionProgress) -> Iterator[str]:
    yield f"v{progress.newer} after v{progress.older}:"
    for word, objections in (
        ("settled", progress.settled),
        ("left", progress.left),
        ("added", progress.added),
    ):
        yield f"  {word}: {len(objections) or 'none'}"
        yield from (f"    {o.finding.rule}: {escape(o.finding.message)}" for o in objections)
    for word, trailers in (
        ("carried", progress.carried),
        ("gained", progress.gained),
        ("dropped", progress.dropped),
    ):
        for trailer in trailers:
            when = f"given on v{trailer.version}" + (", in a reply" if trailer.replied else "")
            yield f"  {word}: {escape(str(trailer))} ({when})"
    yield ""


def _count(result: ReviewResult) -> str:
    drawn = objections_of(result.newest)
    objections = [objection for objection in drawn if not objection.settled]
    settled = len(drawn) - len(objections)
    counts = [
        f"{count} {plural(count, severity)}"
        for severity in (ERROR, WARNING, NOTE)
        for count in [sum(o.finding.severity == severity for o in objections)]
    ]
    waived = sum(len(review.waived) for review in result.newest)
    several = len({review.series for review in result.reviews}) > 1
    newest = f"v{result.progress[-1].newer}: " if result.progress and not several else ""
    more = [f"{settled} settled"] if settled else []
    more += [f"{waived} waived"] if waived else []
    return newest + ", ".join([*counts, *more])
