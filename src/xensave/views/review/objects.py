"""A review as JSON: a list of objects, one for each objection."""

from __future__ import annotations

import json

from xensave.review.result import Review, ReviewResult
from xensave.rules.numbers.model import Objection


def as_json(result: ReviewResult) -> str:
    """Returns rule, severity, file, line, side, message, remedy and patch of each objection."""
    return json.dumps(rows_of(result), indent=2, ensure_ascii=True) + "\n"


def rows_of(result: ReviewResult) -> list[dict[str, object]]:
    """Returns an object for each objection of a review."""
    return [_row(review, o) for review in result.reviews for o in review.objections]


def _row(review: Review, objection: Objection) -> dict[str, object]:
    return {
        **objection_object(objection),
        "patch": review.title,
        "version": review.message.version if review.message else None,
        "base": review.base or None,
        "settled": objection.settled or None,
    }


def objection_object(objection: Objection) -> dict[str, object]:
    """Returns an objection as an object, whatever it was raised to."""
    finding = objection.finding
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.place.file,
        "line": finding.place.line,
        "side": "old" if objection.removed else "new",
        "subject": objection.subject,
        "message": finding.message,
        "remedy": finding.remedy,
    }
