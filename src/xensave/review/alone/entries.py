"""A hunk as facts that stay, go and come, in the order of its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xensave.errors import UsageError
from xensave.review.alone.facts import WITHIN, Fact, Kind
from xensave.review.alone.statements import facts
from xensave.review.patches.patch import ADDED, CONTEXT, REMOVED, Hunk, Line

_SILENT = re.compile(r"#\s*(?:error|warning)\b")
# What counts from where it stands, or means something else for all that follows.
_PLACED = re.compile(
    r"#\s*(?:pragma|undef)\b|#\s*define\s+(?:DECLARE_HVM_SAVE_TYPE|HVM_SAVE_(?:TYPE|LENGTH|CODE))"
)


@dataclass(slots=True)
class Entry:
    """A fact of a hunk: REMOVED, ADDED or CONTEXT, with the line that shows it."""

    fact: Fact
    kind: str
    line: Line


def entries(hunk: Hunk, path: str) -> list[Entry]:
    """The facts of a hunk. Raises UsageError for a change that cannot be judged by its lines."""
    before = _first_branch(_side(hunk, hunk.before, REMOVED), path)
    after = _first_branch(_side(hunk, hunk.after, ADDED), path)
    order = {id(line): number for number, line in enumerate(hunk.lines)}
    merged = [*before, *(entry for entry in after if entry.kind == ADDED)]
    merged.sort(key=lambda entry: (order[id(entry.line)], entry.kind == ADDED))
    found = [e for e in _without_respaced(merged) if not _SILENT.match(e.fact.text)]
    for entry in found:
        if entry.kind != CONTEXT:
            _refuse(entry, path)
    return found


def _side(hunk: Hunk, lines: list[Line], changed: str) -> list[Entry]:
    """The facts of one side; one with a changed line in it is changed, wherever it is broken."""
    found = []
    for fact in facts([line.text for line in lines], hunk.section):
        mine = lines[fact.first : fact.last + 1]
        touched = [line for line in mine if line.kind == changed]
        found.append(
            Entry(fact, changed if touched else CONTEXT, touched[0] if touched else mine[0])
        )
    return found


def _first_branch(found: list[Entry], path: str) -> list[Entry]:
    """Of a conditional's branches that stay, the first counts; another may only say the same.

    A flexible array is written in three ways under #if, #elif and #else, for one. A conditional
    that a patch adds is left to the compiler.
    """
    chosen: list[Entry] = []
    first: set[tuple[str, str, tuple[int | str, ...]]] = set()
    other = False
    for entry in found:
        fact = entry.fact
        if fact.kind is Kind.CONDITION and entry.kind == CONTEXT:
            other = re.match(r"#\s*(?:elif|else)\b", fact.name) is not None
            first = first if other else set()
            continue
        if other and entry.kind == CONTEXT:
            continue
        if other and fact.kind is not Kind.CONDITION and fact.key not in first:
            raise UsageError(
                f"{path}:{entry.line.new or entry.line.old}: {fact.text!r} is in a branch of a "
                "conditional that a patch alone does not tell; give the tree with --tree"
            )
        first.add(fact.key)
        chosen.append(entry)
    return chosen


def _without_respaced(found: Sequence[Entry]) -> list[Entry]:
    """Without what is removed and added again in other words of the same meaning."""
    sides = [
        {_meaning(e.fact) for e in found if e.kind == kind and e.fact.kind not in WITHIN}
        for kind in (REMOVED, ADDED)
    ]
    both = sides[0] & sides[1]
    return [e for e in found if e.kind == CONTEXT or _meaning(e.fact) not in both]


def _meaning(fact: Fact) -> tuple[object, ...]:
    text = "" if fact.kind is Kind.RESERVE else "".join(fact.text.split())
    return fact.kind, fact.name if fact.kind is not Kind.OTHER else "", fact.value, text


def _refuse(entry: Entry, path: str) -> None:
    fact, where = entry.fact, f"{path}:{entry.line.new or entry.line.old}"
    removed = entry.kind == REMOVED
    if fact.kind is Kind.OTHER:
        if removed or _PLACED.match(fact.text):
            raise UsageError(
                f"{where}: what {fact.text!r} changes cannot be told without the tree; "
                "give it with --tree"
            )
    elif fact.kind in (Kind.CONDITION, Kind.INCLUDE) and removed:
        raise UsageError(
            f"{where}: what goes with {fact.text!r} cannot be told without the tree; "
            "give it with --tree"
        )


def resized(found: Iterable[Entry], path: str) -> None:
    """Refuse a constant that gets another value: what it sizes is not in the patch."""
    old = {e.fact.name: e for e in found if e.kind == REMOVED and e.fact.kind is Kind.CONSTANT}
    for entry in found:
        was = old.get(entry.fact.name)
        if was is None or entry.kind != ADDED or entry.fact.kind is not Kind.CONSTANT:
            continue
        if was.fact.value != entry.fact.value:
            raise UsageError(
                f"{path}:{entry.line.new}: {entry.fact.name} changes from {was.fact.value[0]} to "
                f"{entry.fact.value[0]}, and what it sizes cannot be told without the tree; "
                "give it with --tree"
            )
