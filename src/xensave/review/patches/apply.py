"""Apply a patch to the text of a file, as patch(1) does without fuzz: shifted, never guessed."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.errors import UsageError
from xensave.review.patches.patch import FilePatch, Hunk


def apply(patch: FilePatch, text: str | None) -> str | None:
    """The text after the patch; None for no file. Raises UsageError where it does not apply.

    A hunk may have moved by any number of lines, but every line it shows must be there; trailing
    space does not count, for mailers strip it.
    """
    if patch.old is None:
        if text is not None:
            raise UsageError(f"the patch does not apply: {patch.path} is there already")
        return "".join(f"{line.text}\n" for hunk in patch.hunks for line in hunk.after)
    if text is None:
        raise UsageError(f"the patch does not apply: there is no {patch.old}")
    lines = text.split("\n")
    shift = 0
    for hunk in patch.hunks:
        at = _find(lines, hunk, max(hunk.old_start - 1, 0) + shift)
        if at is None:
            raise UsageError(_refusal(patch, hunk, lines))
        old, new = hunk.before, hunk.after
        kept = iter(lines[at : at + len(old)])
        fresh = [_take(line.kind, line.text, kept) for line in hunk.lines]
        lines[at : at + len(old)] = [line for line in fresh if line is not None]
        shift = at - max(hunk.old_start - 1, 0) + len(new) - len(old)
    return None if patch.new is None else "\n".join(lines)


def _take(kind: str, text: str, kept: Iterator[str]) -> str | None:
    """A context line stays as the file has it."""
    if kind == "+":
        return text
    line = next(kept)
    return line if kind == " " else None


def _find(lines: list[str], hunk: Hunk, expected: int) -> int | None:
    wanted = [line.text.rstrip() for line in hunk.before]
    last = len(lines) - len(wanted)
    spots = sorted(range(last + 1), key=lambda spot: abs(spot - expected))
    for spot in spots:
        if all(lines[spot + n].rstrip() == text for n, text in enumerate(wanted)):
            return spot
    return None


def _refusal(patch: FilePatch, hunk: Hunk, lines: list[str]) -> str:
    """Name the first line that differs, where most of the hunk's lines are found."""
    wanted = [line.text.rstrip() for line in hunk.before]
    here = [line.rstrip() for line in lines]
    spots = range(max(len(here) - len(wanted), 0) + 1)
    best = max(spots, key=lambda spot: _likeness(here, wanted, spot))
    if _likeness(here, wanted, best)[0] == 0:
        return f"the patch does not apply: {patch.old} has no line of {hunk.head}"
    for offset, text in enumerate(wanted):
        found = here[best + offset] if best + offset < len(here) else "the end of the file"
        if found != text:
            return (
                f"the patch does not apply: {patch.old}:{best + offset + 1} is "
                f"{found.strip()!r}, the patch has {text.strip()!r}"
            )
    return f"the patch does not apply: {patch.old}: {hunk.head}"


def _likeness(lines: list[str], wanted: list[str], spot: int) -> tuple[int, int]:
    """How many lines agree at a place; ones with words count first."""
    alike = [text for text, line in zip(wanted, lines[spot:], strict=False) if text == line]
    return sum(any(map(str.isalnum, text)) for text in alike), len(alike)
