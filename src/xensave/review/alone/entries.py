"""A hunk as facts that stay, go and come, in the order of its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from xensave.errors import LimitExceeded, UsageError
from xensave.headers.compiled.clang import STUB_NAMES
from xensave.review.alone.facts import WITHIN, HeaderFact, Kind
from xensave.review.alone.statements import facts, substance
from xensave.review.patches.patch import (
    ADDED,
    CONTEXT,
    HUNKS,
    REMOVED,
    Hunk,
    LineKind,
    PatchLine,
    untold,
)

_SILENT = re.compile(
    r"#\s*(?:error|warning|undef)\b|#\s*define\s+HVM_SAVE_(?:TYPE|LENGTH|CODE|HAS|FIX)\w*\("
)
_BRANCH = re.compile(r"#\s*(?:elif|else|endif)\b")
_ELSE = re.compile(r"#\s*(?:elif|else)\b")
_ENDIF = re.compile(r"#\s*endif\b")
_UNDEF = re.compile(r"#\s*undef\s+(\w+)")
_BINDING = re.compile(r"#\s*define\s+(DECLARE_HVM_SAVE_TYPE\w*)\(")
# What counts from where it stands, or means something else for all that follows.
_PLACED = re.compile(r"#\s*pragma\b|#\s*define\s+DECLARE_HVM_SAVE_TYPE")

NESTING = 64
"""How deep conditionals may lie within each other: 63 is what C99 (5.2.4.1) demands at least."""


class HunkFact(NamedTuple):
    """A fact of a hunk: REMOVED, ADDED or CONTEXT, with the line that shows it."""

    fact: HeaderFact
    kind: LineKind
    line: PatchLine


@lru_cache(maxsize=HUNKS)
def entries(hunk: Hunk, path: str) -> tuple[HunkFact, ...]:
    """Returns the facts of a hunk.

    Raises UsageError for a change that cannot be judged by its lines.

    They are kept: a patch is held against one release after the other.
    """
    if _same_code(hunk):
        return ()
    before = _first_branch(_unwrapped(_side(hunk, hunk.before, REMOVED), path), path)
    after = _first_branch(_side(hunk, hunk.after, ADDED), path)
    order = {id(line): number for number, line in enumerate(hunk.lines)}
    merged = [*before, *(entry for entry in after if entry.kind == ADDED)]
    merged.sort(key=lambda entry: (order[id(entry.line)], entry.kind == ADDED))
    respaced = _without_respaced(merged)
    _refuse_redefined(respaced, path)
    respaced = _without_macros([entry for entry in respaced if not _is_silent(entry)])
    changed = tuple(
        entry
        for entry in _without_empty(respaced)
        if not (entry.kind == CONTEXT and entry.fact.kind is Kind.CONDITION)
    )
    for entry in changed:
        if entry.kind != CONTEXT:
            _refuse(entry, path)
    return changed


def _same_code(hunk: Hunk) -> bool:
    """Tells whether a hunk changes spaces, empty lines and words of comments alone."""
    old, new = (substance([line.text for line in lines]) for lines in (hunk.before, hunk.after))
    return old == new


def _side(hunk: Hunk, lines: list[PatchLine], changed: LineKind) -> list[HunkFact]:
    """The facts of one side; one with a changed line in it is changed, wherever it is broken."""
    side = []
    for fact in facts([line.text for line in lines], hunk.section):
        mine = lines[fact.first : fact.last + 1]
        touched = [line for line in mine if line.kind == changed]
        side.append(
            HunkFact(fact, changed if touched else CONTEXT, touched[0] if touched else mine[0])
        )
    return side


def _unwrapped(sheet: list[HunkFact], path: str) -> list[HunkFact]:
    """Without the lines of conditionals that go as a whole, of which the first branch counts."""
    opened: list[int] = []
    drop: set[int] = set()
    stays = [0, *accumulate(entry.kind != REMOVED for entry in sheet)]
    for at, entry in enumerate(sheet):
        if entry.fact.kind is not Kind.CONDITION:
            continue
        if not _BRANCH.match(entry.fact.name):
            opened.append(at)
            if len(opened) > NESTING:
                raise LimitExceeded(f"{path}: conditionals within each other, {NESTING} deep")
        elif opened and "endif" in entry.fact.name:
            block = range(opened.pop(), at + 1)
            if stays[block.stop] == stays[block.start]:
                drop |= _beside_the_first(sheet, block)
    return [entry for at, entry in enumerate(sheet) if at not in drop]


def _beside_the_first(sheet: list[HunkFact], block: range) -> set[int]:
    """The directives of a conditional, and what its later branches only repeat."""
    first: set[tuple[str, str, tuple[int | str, ...]]] = set()
    beside = set()
    other = False
    for at in block:
        fact = sheet[at].fact
        if fact.kind is Kind.CONDITION:
            other = other or _ELSE.match(fact.name) is not None
            beside.add(at)
        elif other and fact.key in first:
            beside.add(at)
        elif not other:
            first.add(fact.key)
    return beside


def _first_branch(sheet: list[HunkFact], path: str) -> list[HunkFact]:
    """The first of a conditional's branches that stay counts; another may only say the same.

    A flexible array is written in three ways under #if, #elif and #else, for one. A conditional
    that a patch adds is left to the compiler.
    """
    chosen: list[HunkFact] = []
    first: set[tuple[str, str, tuple[int | str, ...]]] = set()
    other = False
    for entry in sheet:
        fact = entry.fact
        if fact.kind is Kind.CONDITION and entry.kind == CONTEXT:
            chosen.append(entry)
            other = _ELSE.match(fact.name) is not None
            first = first if other else set()
            continue
        if other and entry.kind == CONTEXT:
            continue
        if _SILENT.match(fact.text) or _BINDING.match(fact.text):
            chosen.append(entry)
            continue
        if other and fact.kind is not Kind.CONDITION and fact.key not in first:
            raise UsageError(
                f"{path}:{entry.line.number}: {fact.text!r} is in a branch of a "
                "conditional that a patch alone does not tell; give the tree with --tree"
            )
        first.add(fact.key)
        chosen.append(entry)
    return chosen


def _without_respaced(sheet: Sequence[HunkFact]) -> list[HunkFact]:
    """Without what is removed and added again in other words of the same meaning."""
    sides = [
        {_meaning(e.fact) for e in sheet if e.kind == kind and e.fact.kind not in WITHIN}
        for kind in (REMOVED, ADDED)
    ]
    both = sides[0] & sides[1]
    return [e for e in sheet if e.kind == CONTEXT or _meaning(e.fact) not in both]


def _meaning(fact: HeaderFact) -> tuple[object, ...]:
    text = "" if fact.kind is Kind.RESERVE else "".join(fact.text.split())
    return fact.kind, fact.name if fact.kind is not Kind.OTHER else "", fact.value, text


def _is_silent(entry: HunkFact) -> bool:
    """Tells whether a change of this bears on no struct and no number.

    HVM_SAVE_TYPE and its like only ask of what is bound; after #undef a name is gone, and a use of
    it would not compile.
    """
    return entry.fact.kind is Kind.OTHER and _SILENT.match(entry.fact.text) is not None


def _without_empty(sheet: list[HunkFact]) -> list[HunkFact]:
    """Without branches that a patch adds or takes away and that hold nothing."""
    rest: list[HunkFact] = []
    for entry in sheet:
        condition = entry.fact.kind is Kind.CONDITION
        # An #else or #elif that changes, with nothing before the next directive.
        while condition and rest and _is_changed_else(rest[-1]):
            rest.pop()
        before = rest[-1] if rest else entry
        ends = condition and before.fact.kind is Kind.CONDITION and _ENDIF.match(entry.fact.name)
        if rest and ends and before.kind == entry.kind != CONTEXT:
            rest.pop()
        else:
            rest.append(entry)
    return rest


def _is_changed_else(entry: HunkFact) -> bool:
    changed = entry.kind != CONTEXT and entry.fact.kind is Kind.CONDITION
    return changed and _ELSE.match(entry.fact.name) is not None


def _refuse_redefined(sheet: Sequence[HunkFact], path: str) -> None:
    """A name that is first undefined had another value, which the patch does not show."""
    gone = {name for e in sheet for name in _UNDEF.findall(e.fact.text) if e.kind == ADDED}
    for entry in sheet:
        if entry.kind == ADDED and entry.fact.kind is Kind.CONSTANT and entry.fact.name in gone:
            raise untold(f"{path}:{entry.line.new}", f"what {entry.fact.name} was before")


def _without_macros(sheet: Sequence[HunkFact]) -> list[HunkFact]:
    """Without macros that bind records, where each lays its struct out as it did."""
    bound = [e for e in sheet if e.kind != CONTEXT and _BINDING.match(e.fact.text)]
    shapes = {
        kind: {(m[1], s) for e in bound if e.kind == kind and (m := _BINDING.match(e.fact.text))
               for s in _shapes(e.fact.text)}
        for kind in (REMOVED, ADDED)
    }  # fmt: skip
    old, new = shapes[REMOVED], shapes[ADDED]
    known = {name for name, _ in old}
    if not old <= new or any(shape[0] in known for shape in new - old):
        return [*sheet]
    return [e for e in sheet if e.kind == CONTEXT or not _BINDING.match(e.fact.text)]


def _shapes(text: str) -> list[str]:
    """The structs that a macro makes, however its parameters are called."""
    parameters = re.search(r"\(([^)]*)\)", text)
    names = [name.strip() for name in parameters[1].split(",")] if parameters else []
    for number, name in enumerate(names):
        text = re.sub(rf"\b{re.escape(name)}\b", f"_{number}", text)
    return ["".join(struct.split()) for struct in re.findall(r"struct[^{}]*\{[^{}]*\}", text)]


def _refuse(entry: HunkFact, path: str) -> None:
    fact, where = entry.fact, f"{path}:{entry.line.number}"
    removed = entry.kind == REMOVED
    if fact.kind is Kind.OTHER and (removed or _PLACED.match(fact.text)):
        raise untold(where, f"what {fact.text!r} changes")
    needed = fact.kind is Kind.INCLUDE and fact.name not in STUB_NAMES
    if removed and (needed or fact.kind is Kind.CONDITION):
        raise untold(where, f"what goes with {fact.text!r}")


def resized(sheet: Iterable[HunkFact], path: str) -> None:
    """Refuses a constant that gets another value: what it sizes is not in the patch.

    Raises UsageError for it.
    """
    old = {e.fact.name: e for e in sheet if e.kind == REMOVED and e.fact.kind is Kind.CONSTANT}
    for entry in sheet:
        was = old.get(entry.fact.name)
        if was is None or entry.kind != ADDED or entry.fact.kind is not Kind.CONSTANT:
            continue
        if was.fact.value != entry.fact.value:
            values = f"from {was.fact.value[0]} to {entry.fact.value[0]}"
            what = f"{entry.fact.name} changes {values}, and what it sizes"
            raise untold(f"{path}:{entry.line.new}", what)
