"""The table of the number-space rules, for a reader."""

from __future__ import annotations

import json
from difflib import get_close_matches

from xensave.errors import UsageError
from xensave.rules.examples import CITES, EXAMPLES
from xensave.rules.rows import BY_ID, ROWS


def rule(name: str, *, as_json: bool = False) -> str:
    """Explains one rule: what it wants, what is wrong otherwise, what to do, and where it is said.

    Raises UsageError for an id that no rule has.
    """
    known = BY_ID.get(name.upper())
    if known is None:
        close = get_close_matches(name.upper(), BY_ID, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; see xensave review --rules"
        raise UsageError(f"no rule {name!r}{hint}")
    example = EXAMPLES.get(known.id, ())
    cite = getattr(known, "cite", "") or CITES.get(known.id, "")
    against = " ".join((known.check.__doc__ or "").split())
    if as_json:
        row = {
            "rule": known.id,
            "severity": known.severity,
            "purpose": known.purpose,
            "objects_to": against,
            "example": list(example),
            "remedy": known.remedy,
            "cite": str(cite) or None,
        }
        return json.dumps(row, indent=2) + "\n"
    lines = [f"{known.id} ({known.severity})", "", f"  {known.purpose}"]
    lines += [f"  Objects where: {against[:1].lower()}{against[1:]}", ""]
    if example:
        lines += ["  example:", *(f"    {line}" for line in example), ""]
    lines.append(f"  remedy: {known.remedy}")
    if cite:
        lines.append(f"  said in: {cite}")
    return "\n".join(lines) + "\n"


def rules(*, as_json: bool = False) -> str:
    """Returns id, severity, purpose and remedy of every rule."""
    if as_json:
        rows = [
            {"rule": r.id, "severity": r.severity, "purpose": r.purpose, "remedy": r.remedy}
            for r in ROWS
        ]
        return json.dumps(rows, indent=2) + "\n"
    return "".join(
        f"{rule.id} ({rule.severity})\n  {rule.purpose}\n  remedy: {rule.remedy}\n" for rule in ROWS
    )
