"""The review of a history, commit by commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from xensave.review.history import CommitReview
from xensave.views.review.objects import objection_object
from xensave.views.text.escape import escape


def text(entries: Iterable[CommitReview]) -> Iterator[str]:
    """Yields a line for each commit, its objections under it, and counts at the end."""
    commits = unread = 0
    counts: dict[str, int] = {}
    for entry in entries:
        commits += 1
        unread += entry.review is None
        yield f"{entry.commit[:10]} {entry.date:%Y-%m-%d} {escape(entry.subject)}\n"
        if entry.unread:
            which = "cannot be read" if entry.review is None else "the state before cannot be read"
            yield f"  {which}: {escape(entry.unread)}\n"
        if entry.whole and entry.review is not None:
            yield "  no state before it to compare with: all of it is looked at\n"
        for objection in entry.review.objections if entry.review else ():
            finding = objection.finding
            counts[finding.severity] = counts.get(finding.severity, 0) + 1
            yield (
                f"  {finding.place}: {finding.severity}: {escape(finding.message)} "
                f"[{finding.rule}]\n"
            )
    counted = ", ".join(f"{n} {severity}s" for severity, n in sorted(counts.items()))
    yield f"{commits} commits, {unread} of them cannot be read; {counted or 'no objection'}\n"


def as_json(entries: Iterable[CommitReview]) -> Iterator[str]:
    """Yields a list with an object for each commit."""
    rows = [
        {
            "commit": entry.commit,
            "date": entry.date.isoformat(),
            "subject": entry.subject,
            "unread": entry.unread or None,
            "whole": entry.whole,
            "base": entry.review.base or None if entry.review else None,
            "objections": [
                objection_object(each) for each in (entry.review.objections if entry.review else ())
            ],
        }
        for entry in entries
    ]
    yield json.dumps(rows, indent=2) + "\n"
