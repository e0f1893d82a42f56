"""A review as GitHub's workflow commands, which annotate the lines of a pull request."""

from __future__ import annotations

from xensave.findings import ERROR, NOTE, WARNING
from xensave.review.result import ReviewResult, objections_of
from xensave.rules.numbers.model import Objection

_COMMANDS = {ERROR: "error", WARNING: "warning", NOTE: "notice"}


def github(result: ReviewResult) -> str:
    """Returns a command for each objection, and a notice where there is none."""
    lines = [_command(objection) for objection in objections_of(result.newest)]
    return "\n".join(lines or ["::notice::xensave review: no objection"]) + "\n"


def _command(objection: Objection) -> str:
    finding = objection.finding
    properties = [f"file={_property(finding.place.file or '')}"]
    # A line that is gone cannot carry an annotation: that goes to the file.
    if finding.place.line and not objection.removed:
        properties.append(f"line={finding.place.line}")
    properties.append(f"title={_property(finding.rule)}")
    remedy = f"\n{finding.remedy}" if finding.remedy else ""
    return (
        f"::{_COMMANDS[finding.severity]} {','.join(properties)}::{_data(finding.message + remedy)}"
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
