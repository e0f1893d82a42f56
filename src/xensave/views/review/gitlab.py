"""A review as GitLab's Code Quality report: an array of issues that a merge request shows."""

from __future__ import annotations

import hashlib
import json

from xensave.findings import ERROR, NOTE, WARNING
from xensave.review.result import Review, ReviewResult
from xensave.rules.numbers.model import Objection
from xensave.views.review.lines import advice

_SEVERITIES = {ERROR: "critical", WARNING: "major", NOTE: "info"}


def gitlab(result: ReviewResult) -> str:
    """Returns an issue for each objection of the newest version; an empty array for none."""
    issues = [_issue(review, each) for review in result.newest for each in review.objections]
    return json.dumps(issues, indent=2) + "\n"


def _issue(review: Review, objection: Objection) -> dict[str, object]:
    finding = objection.finding
    path, line = finding.place.file or "unknown", finding.place.line or 1
    # The same fault keeps its fingerprint when lines move: GitLab compares them across commits.
    mark = f"{finding.rule}\0{path}\0{objection.subject}\0{review.title}"
    return {
        "description": advice(finding),
        "check_name": finding.rule,
        "fingerprint": hashlib.sha256(mark.encode()).hexdigest(),
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": path, "lines": {"begin": line}},
    }
