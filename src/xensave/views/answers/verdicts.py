"""Verdicts as text and as JSON: what a release makes of an image or a context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from xensave.engine.verdict import Accepted, Depends, Refused, Verdict
from xensave.toolstack.releases.series import Answer, SeriesVerdict
from xensave.views.text.colours import BAD, GOOD, UNSURE, painted
from xensave.views.text.escape import escape
from xensave.views.text.wrap import plural

RESTORES = "restores"
REFUSED = "refused"
DEPENDS = "depends"


def verdict_line(source: str, target: str, verdict: Verdict, *, colour: bool = False) -> str:
    """Returns a verdict in a line: input, target, answer, and why.

    >>> verdict_line("a.img", "4.17", Accepted(loaded=10))
    'a.img: Xen 4.17: restores (10 records loaded)'
    """
    return f"{escape(source)}: Xen {escape(target)}: {_answer(verdict, colour=colour)}"


def series_line(source: str, series: SeriesVerdict, *, colour: bool = False) -> str:
    """Returns what a target answers in a line: its point releases by ranges where they differ.

    >>> from xensave.toolstack.releases.series import Answer
    >>> refused = Refused("R", "too long", errno="ERANGE", record="CPU[0]")
    >>> answers = Answer(("4.15.0",), refused), Answer(("4.15.1",), Accepted(loaded=10))
    >>> series_line("a.img", SeriesVerdict("4.15", answers))
    'a.img: Xen 4.15: refused by 4.15.0 (CPU[0]: ERANGE: too long); restores on 4.15.1'
    """
    if series.alike:
        return verdict_line(source, series.target, series.worst, colour=colour)
    ordered = sorted(series.answers, key=lambda answer: answer.verdict.accepted is not False)
    parts = "; ".join(_part(answer, colour=colour) for answer in ordered)
    return f"{escape(source)}: Xen {escape(series.target)}: {parts}"


def _part(answer: Answer, *, colour: bool) -> str:
    verdict = answer.verdict
    if isinstance(verdict, Refused):
        place = f"{escape(verdict.record)}: " if verdict.record else ""
        errno = f"{verdict.errno}: " if verdict.errno else ""
        word = painted("refused", BAD, colour=colour)
        return f"{word} by {answer.span} ({place}{errno}{escape(verdict.reason)})"
    fixups = f" ({_counted(verdict.fixups)})" if verdict.fixups else ""
    if isinstance(verdict, Depends):
        word = painted("depends", UNSURE, colour=colour)
        return f"{word} on {answer.span} on {escape('; '.join(verdict.depends))}{fixups}"
    word = painted("restores", GOOD, colour=colour)
    return f"{word} on {answer.span}{fixups}"


def _answer(verdict: Verdict, *, colour: bool) -> str:
    if isinstance(verdict, Refused):
        return _refusal(verdict, colour=colour)
    loaded = f"{verdict.loaded} {plural(verdict.loaded, 'record')} loaded"
    if verdict.fixups:
        loaded += f"; {_counted(verdict.fixups)}"
    if isinstance(verdict, Depends):
        word = painted("depends on", UNSURE, colour=colour)
        return f"{word} {escape('; '.join(verdict.depends))} ({loaded})"
    return f"{painted('restores', GOOD, colour=colour)} ({loaded})"


def _refusal(verdict: Refused, *, colour: bool) -> str:
    place = f" at {escape(verdict.record)}" if verdict.record else ""
    offset = "" if verdict.offset is None else f", offset {verdict.offset:#x}"
    errno = f": {verdict.errno}" if verdict.errno else ""
    cite = f" [{verdict.cite}]" if verdict.cite else ""
    word = painted("refused", BAD, colour=colour)
    return f"{word}{place}{offset}{errno}: {escape(verdict.reason)}{cite}"


def outcome_of(verdict: Verdict) -> str:
    """Returns what a verdict comes to: RESTORES, REFUSED or DEPENDS."""
    if verdict.accepted is None:
        return DEPENDS
    return RESTORES if verdict.accepted else REFUSED


def summary_line(counts: Mapping[str, int], unread: int = 0, target: str | None = None) -> str:
    """Returns how many inputs had each outcome; `unread` could not be judged.

    >>> summary_line({"restores": 15, "refused": 4, "depends": 2})
    '21 images: 15 restore, 4 do not, 2 depend'
    """
    words = ((RESTORES, "restore"), (REFUSED, "do not"), (DEPENDS, "depend"))
    parts = [f"{counts[key]} {word}" for key, word in words if counts.get(key)]
    parts += [f"{unread} not read"] if unread else []
    release = f"Xen {escape(target)}: " if target else ""
    return f"{release}{sum(counts.values()) + unread} images: {', '.join(parts)}"


def _counted(fixups: Sequence[str]) -> str:
    """Returns what a release does to records by itself; of many vCPUs alike, once with a count.

    >>> _counted(["LAPIC from 24 to 32 bytes"] * 4)
    'LAPIC from 24 to 32 bytes (4 times)'
    """
    return ", ".join(
        text if count == 1 else f"{text} ({count} times)" for text, count in Counter(fixups).items()
    )


def assumption_lines(verdict: Verdict) -> list[str]:
    """Returns what a verdict takes for granted, a line each; none of a refusal."""
    if isinstance(verdict, Refused):
        return []
    lines = [f"  provided, here and below, that {escape(text)}" for text in verdict.assumes]
    return lines + [f"  but {escape(text)}" for text in verdict.warnings]


def verdict_object(
    source: str, target: str, verdict: Verdict, member: str | None = None
) -> dict[str, object]:
    """Returns a verdict as a JSON object; `accepted` is null where it depends.

    Every verdict has every key; what is another kind's is null, "" or empty.
    """
    fields = {"source": source, "target": target, **_own_object(verdict)}
    if member is not None:
        fields["member"] = member
    return fields


def _own_object(verdict: Verdict) -> dict[str, object]:
    refused = verdict if isinstance(verdict, Refused) else Refused("", "")
    other = Accepted() if isinstance(verdict, Refused) else verdict
    return {
        "accepted": verdict.accepted,
        "layer": verdict.layer if isinstance(verdict, Refused) else "",
        "errno": verdict.errno,
        "record": refused.record,
        "typecode": refused.typecode,
        "instance": refused.instance,
        "offset": refused.offset,
        "loaded": verdict.loaded,
        "last": verdict.last,
        "rule": refused.rule,
        "reason": refused.reason,
        "cite": str(refused.cite) if refused.cite else None,
        "depends": list(verdict.depends) if isinstance(verdict, Depends) else [],
        "assumes": list(other.assumes),
        "warnings": list(other.warnings),
        "fixups": list(other.fixups),
    }


def series_object(
    source: str, series: SeriesVerdict, member: str | None = None
) -> dict[str, object]:
    """Returns what a target answers as a JSON object: the worst verdict, and `points` by range."""
    points = [
        {"releases": list(answer.points), **_own_object(answer.verdict)}
        for answer in series.answers
    ]
    return {**verdict_object(source, series.target, series.worst, member), "points": points}
