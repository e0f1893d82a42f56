"""A review as SARIF 2.1.0, as code scanners and editors read it."""

from __future__ import annotations

import json

from xensave import __version__
from xensave.review.result import Review, ReviewResult
from xensave.rules.numbers.model import Objection
from xensave.rules.rows import ROWS, AnyRule
from xensave.views.review.lines import advice

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_INDEX = {rule.id: number for number, rule in enumerate(ROWS)}


def sarif(result: ReviewResult) -> str:
    """Returns one run with every rule, every objection, and the waived ones as suppressed."""
    results: list[dict[str, object]] = []
    for review in result.newest:
        results += [_result(review, objection) for objection in review.objections]
        results += [
            {
                **_result(review, waived.objection),
                "suppressions": [{"kind": "external", "justification": waived.reason}],
            }
            for waived in review.waived
        ]
    driver = {
        "name": "xensave",
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in ROWS],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _rule(rule: AnyRule) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.purpose},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(review: Review, objection: Objection) -> dict[str, object]:
    finding = objection.finding
    location: dict[str, object] = {"artifactLocation": {"uri": finding.place.file or "unknown"}}
    if finding.place.line:
        location["region"] = {"startLine": finding.place.line}
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": finding.severity,
        "message": {"text": advice(finding)},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"subject/v1": f"{finding.rule}:{objection.subject}"},
        "properties": {"patch": review.title, "side": "old" if objection.removed else "new"},
    }
