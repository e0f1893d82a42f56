"""Apply a patch to the text of a file, as patch(1) does without fuzz: shifted, never guessed."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from xensave.errors import UsageError
from xensave.review.patches.patch import ADDED, REMOVED, FilePatch, Hunk, LineKind

_LINE_END = re.compile("\n")
_COMMON = 64
"""How many places of one line count where a hunk is not found: lines that repeat tell little."""
_LIKELY = 16


def apply(patch: FilePatch, text: str | None) -> tuple[str | None, FilePatch]:
    """Returns the text after the patch, None for no file, and the patch with true line numbers.

    A hunk may have moved by any number of lines, but every line it shows must be there; trailing
    space does not count, for mailers strip it. Raises UsageError where the patch does not apply.
    """
    if patch.old is None:
        if text is not None:
            raise UsageError(f"the patch does not apply: {patch.path} is there already")
        lines = [line.text for hunk in patch.hunks for line in hunk.after]
        return "".join(f"{line}\n" for line in lines), patch
    if text is None:
        raise UsageError(f"the patch does not apply: there is no {patch.old}")
    lines = text.split("\n")
    placed = []
    shift = grown = 0
    for hunk in patch.hunks:
        old, new = hunk.before, hunk.after
        # A hunk without old lines names the line that it follows.
        expected = hunk.old_start - 1 if old else hunk.old_start
        expected = max(expected, 0) + grown
        at = _find(lines, hunk, expected + shift) if old else expected + shift
        if at is None or at > len(lines):
            raise UsageError(_refusal(patch, hunk, lines))
        shift = at - expected
        placed.append(_renumbered(hunk, at - grown, at))
        originals = iter(lines[at : at + len(old)])
        fresh = [_take(line.kind, line.text, originals) for line in hunk.lines]
        lines[at : at + len(old)] = [line for line in fresh if line is not None]
        grown += len(new) - len(old)
    after = None if patch.new is None else "\n".join(lines)
    return after, patch._replace(hunks=tuple(placed))


def _renumbered(hunk: Hunk, old: int, new: int) -> Hunk:
    """A hunk whose lines begin after `old` lines of the file before and `new` lines of it after."""
    lines = []
    for line in hunk.lines:
        old += line.kind != ADDED
        new += line.kind != REMOVED
        lines.append(
            line._replace(
                old=old if line.kind != ADDED else None, new=new if line.kind != REMOVED else None
            )
        )
    return hunk._replace(lines=tuple(lines))


def _take(kind: LineKind, text: str, texts: Iterator[str]) -> str | None:
    """A context line stays as the file has it."""
    if kind == "+":
        return text
    line = next(texts)
    return line if kind == " " else None


def _find(lines: list[str], hunk: Hunk, expected: int) -> int | None:
    """Returns where the lines that a hunk shows stand, nearest to where it says.

    They are searched as one text: a hunk may nearly match at every line, and both be long.
    """
    wanted = "".join(f"\n{line.text.rstrip()}" for line in hunk.before) + "\n"
    text = "".join(f"\n{line.rstrip()}" for line in lines) + "\n"
    starts = [match.start() for match in _LINE_END.finditer(text)]
    at = starts[min(max(expected, 0), len(starts) - 1)]
    below = text.find(wanted, at)
    # What stands before is found backwards, which str.rfind() does in time by both lengths.
    before = text[: at + len(wanted) - 1]
    from_end = before[::-1].find(wanted[::-1])
    above = len(before) - len(wanted) - from_end if from_end >= 0 else -1
    spots = [bisect_left(starts, place) for place in (above, below) if place >= 0]
    return min(spots, key=lambda spot: abs(spot - expected), default=None)


def _refusal(patch: FilePatch, hunk: Hunk, lines: list[str]) -> str:
    """Names the first line that differs, where most of the hunk's lines are found."""
    wanted = [line.text.rstrip() for line in hunk.before]
    here = [line.rstrip() for line in lines]
    best = max(_likely(here, wanted), key=lambda spot: _likeness(here, wanted, spot))
    if _likeness(here, wanted, best)[0] == 0:
        return f"the patch does not apply: {patch.old} has no line of {hunk.head}"
    for offset, text in enumerate(wanted):
        there = here[best + offset] if best + offset < len(here) else "the end of the file"
        if there != text:
            return (
                f"the patch does not apply: {patch.old}:{best + offset + 1} is "
                f"{there.strip()!r}, the patch has {text.strip()!r}"
            )
    return f"the patch does not apply: {patch.old}: {hunk.head}"


def _likely(lines: list[str], wanted: list[str]) -> list[int]:
    """Returns the places where most of the lines that tell a place apart agree."""
    places: dict[str, list[int]] = {}
    for number, text in enumerate(lines):
        places.setdefault(text, []).append(number)
    last = max(len(lines) - len(wanted), 0)
    votes = Counter(
        min(max(place - offset, 0), last)
        for offset, text in enumerate(wanted)
        for place in places.get(text, [])[:_COMMON]
    )
    return sorted(spot for spot, _ in votes.most_common(_LIKELY)) or [0]


def _likeness(lines: list[str], wanted: list[str], spot: int) -> tuple[int, int]:
    """How many lines agree at a place; ones with words count first."""
    alike = [text for text, line in zip(wanted, lines[spot:], strict=False) if text == line]
    return sum(any(map(str.isalnum, text)) for text in alike), len(alike)
