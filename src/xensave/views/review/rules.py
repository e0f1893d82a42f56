"""The table of the number-space rules, for a reader."""

from __future__ import annotations

import json

from xensave.rules.rows import ROWS


def rules(*, as_json: bool = False) -> str:
    """Id, severity, purpose and remedy of every rule."""
    if as_json:
        rows = [
            {"rule": r.id, "severity": r.severity, "purpose": r.purpose, "remedy": r.remedy}
            for r in ROWS
        ]
        return json.dumps(rows, indent=2) + "\n"
    return "".join(
        f"{rule.id} ({rule.severity})\n  {rule.purpose}\n  remedy: {rule.remedy}\n" for rule in ROWS
    )
