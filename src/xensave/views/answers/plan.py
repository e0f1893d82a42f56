"""A conversion's plan as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.model import Citation
from xensave.convert.plan import Plan, PlannedChange
from xensave.views.answers.findings import finding_object
from xensave.views.text.colours import BAD, TITLE, painted
from xensave.views.text.escape import escape
from xensave.views.text.wrap import hang, plural

_COLUMN = 10


def plan_lines(
    plan: Plan, width: int = 100, *, refused: bool = False, colour: bool = False
) -> Iterator[str]:
    r"""Yields the plan, a few lines a change: what, where, why, what it loses.

    `refused` says that it is not carried out: what it had changed until then is no promise.

    >>> from xensave.findings import Place
    >>> plan = Plan("4.13", "4.17")
    >>> change = PlannedChange(Place(record="RTC[0]"), "convert", "RTC[0]", "24 bytes to 16")
    >>> plan.changes.append(change)
    >>> print("\n".join(plan_lines(plan)))
    4.17 to 4.13: 1 change, no state lost
    convert   RTC[0]
              why: 24 bytes to 16
    """
    source = plan.source or "an unknown release"
    count = _refused(plan) if refused else _count(plan)
    head = f"{source} to {plan.target}: {count}"
    yield painted(escape(head), TITLE, colour=colour)
    for change in plan.changes:
        yield from _change(change, width, colour)
    if plan.depends:
        text = f"whether {plan.target} accepts the result depends on {', '.join(plan.depends)}"
        yield from hang("note", escape(text), width, _COLUMN)
    for text in plan.warnings:
        yield from hang("but", escape(text), width, _COLUMN)


def _refused(plan: Plan) -> str:
    if not plan.changes:
        return "refused"
    return f"refused; {_changes(plan)} found until then"


def _count(plan: Plan) -> str:
    if not plan.changes:
        return "nothing to change"
    lossy = sum(1 for change in plan.changes if change.lost)
    loss = "no state lost" if not lossy else f"{lossy} of them lose{'s' * (lossy == 1)} state"
    return f"{_changes(plan)}, {loss}"


def _changes(plan: Plan) -> str:
    return f"{len(plan.changes)} {plural(len(plan.changes), 'change')}"


def _change(change: PlannedChange, width: int, colour: bool) -> Iterator[str]:
    place = f" at {change.where.offset:#x}" if change.where.offset is not None else ""
    yield from hang(change.action, escape(change.what) + place, width, _COLUMN)
    yield from _beside("why", change.reason, width)
    if change.citation is not None:
        yield from _beside("see", _cited(change.citation), width)
    if change.lost:
        named = ", ".join(f"{loss.field} = {loss.value}" for loss in change.loss)
        if change.lost > len(change.loss):
            named += f" and {change.lost - len(change.loss)} more"
        word = "loses, as agreed" if change.accepted else "loses"
        lines = _beside(word, named, width)
        yield from (painted(line, BAD, colour=colour) for line in lines)


def _beside(label: str, text: str, width: int) -> list[str]:
    margin = " " * _COLUMN
    start = f"{margin}{label}:"
    return hang(start, escape(text), width, len(start) + 1)


def _cited(citation: Citation) -> str:
    return f'{citation.commit} "{citation.subject}", {citation.release}'


def plan_object(
    plan: Plan, refused: str | None = None, *, source: str = "", output: str | None = None
) -> dict[str, object]:
    """Returns the plan as a JSON object; `refused` says why it is not carried out.

    `source` and `output` are the names of the image and of what is written, None for nothing.
    """
    return {
        "input": source,
        "output": output if refused is None else None,
        "source": plan.source,
        "target": plan.target,
        "refused": refused,
        "lossy": bool(plan.losses),
        "changes": [_object(change) for change in plan.changes],
        "depends": list(plan.depends),
        "warnings": list(plan.warnings),
        "findings": [finding_object(finding) for finding in plan.findings],
    }


def _object(change: PlannedChange) -> dict[str, object]:
    return {
        "action": change.action,
        "what": change.what,
        "offset": change.where.offset,
        "record": change.where.record,
        "reason": change.reason,
        "loss": [{"field": loss.field, "value": loss.value} for loss in change.loss],
        "lost": change.lost,
        "accepted": change.accepted,
        "citation": change.citation._asdict() if change.citation is not None else None,
    }
