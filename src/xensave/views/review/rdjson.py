"""A review as reviewdog's rdjson (its proto/rdf): diagnostics that it posts to a code review."""

from __future__ import annotations

import json

from xensave.findings import ERROR, NOTE, WARNING
from xensave.review.result import ReviewResult, objections_of
from xensave.rules.numbers.model import Objection
from xensave.views.review.lines import advice

_SEVERITIES = {ERROR: "ERROR", WARNING: "WARNING", NOTE: "INFO"}


def rdjson(result: ReviewResult) -> str:
    """Returns a diagnostic for each objection of the newest version."""
    diagnostics = [_diagnostic(each) for each in objections_of(result.newest)]
    log = {"source": {"name": "xensave"}, "diagnostics": diagnostics}
    return json.dumps(log, indent=2) + "\n"


def _diagnostic(objection: Objection) -> dict[str, object]:
    finding = objection.finding
    location: dict[str, object] = {"path": finding.place.file or "unknown"}
    # A line that is gone cannot carry a remark: that goes to the file.
    if finding.place.line and not objection.removed:
        location["range"] = {"start": {"line": finding.place.line}}
    return {
        "message": advice(finding, "\n"),
        "location": location,
        "severity": _SEVERITIES[finding.severity],
        "code": {"value": finding.rule},
    }
