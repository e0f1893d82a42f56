"""A patch's hunks put onto a release's stand-in, fact by fact.

The lines of the stand-in are not those of the real header, so a hunk is placed by what its lines
state: the numbers it shows must be the release's, and a run of struct members must occur there.
Where they do not, the patch does not fit that release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xensave.errors import UsageError
from xensave.findings import Place
from xensave.review.alone.scan import CLOSE, CONSTANT, MEMBER, OPEN, RESERVE, UNKNOWN, Fact, facts
from xensave.review.patches.patch import ADDED, CONTEXT, REMOVED, FilePatch, Hunk, Line

_INNER = (OPEN, MEMBER, CLOSE)


class Misfit(UsageError):
    """A patch that states what the release does not have."""


@dataclass(slots=True)
class Row:
    """A line of the stand-in: its fact, where the patch shows it, and what the patch does to it."""

    text: str
    fact: Fact
    old: Place | None = None
    new: Place | None = None
    kind: str = CONTEXT


@dataclass(slots=True)
class _Entry:
    fact: Fact
    line: Line


def rows_of(lines: Sequence[str]) -> list[Row]:
    """The rows of a stand-in that no patch has touched."""
    return [Row(fact.text, fact) for fact in facts(lines)]


def graft(rows: Sequence[Row], patches: Sequence[FilePatch]) -> list[Row]:
    """The rows with what the patches remove and add marked. Raises Misfit where they do not fit.

    What an earlier patch did is settled first: its removed rows are gone, its added ones are
    like any other.
    """
    grown = [Row(row.text, row.fact) for row in rows if row.kind != REMOVED]
    for patch in patches:
        for hunk in patch.hunks:
            _graft_hunk(grown, hunk, patch.path)
    return grown


def _graft_hunk(rows: list[Row], hunk: Hunk, path: str) -> None:
    for chunk in _chunks(_entries(hunk)):
        if chunk[0].fact.kind not in _INNER:
            _graft_outer(rows, chunk[0], path)
        elif all(entry.line.kind == ADDED for entry in chunk):
            for entry in chunk:
                rows.insert(len(rows), _added(entry, path))
        elif any(entry.line.kind != CONTEXT for entry in chunk):
            _graft_struct(rows, chunk, hunk, path)
        else:
            _locate(rows, chunk, hunk, path, required=False)


def _entries(hunk: Hunk) -> list[_Entry]:
    """The facts of a hunk, old and new, in the order of its lines."""
    before, after = (_by_line(hunk, side) for side in (hunk.before, hunk.after))
    unchanged = _respaced(hunk)
    found = []
    old = new = 0
    for line in hunk.lines:
        stated = after[new] if line.kind == ADDED else before[old]
        old += line.kind != ADDED
        new += line.kind != REMOVED
        quiet = line.kind == CONTEXT or _squeeze(line.text) in unchanged
        found += [_Entry(fact, line) for fact in stated if fact.kind != UNKNOWN or not quiet]
    return found


def _by_line(hunk: Hunk, lines: list[Line]) -> dict[int, list[Fact]]:
    found: dict[int, list[Fact]] = {number: [] for number in range(len(lines))}
    for fact in facts([line.text for line in lines], hunk.section):
        found[fact.line].append(fact)
    return found


def _respaced(hunk: Hunk) -> set[str]:
    """What is removed and added again with other spacing."""
    removed, added = (
        {_squeeze(line.text) for line in hunk.lines if line.kind == kind}
        for kind in (REMOVED, ADDED)
    )
    return removed & added


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _chunks(entries: list[_Entry]) -> Iterator[list[_Entry]]:
    """Runs within one struct, and every fact outside of any alone; a #define ends no struct."""
    chunk: list[_Entry] = []
    for entry in entries:
        if entry.fact.kind == CONSTANT:
            yield [entry]
            continue
        outside = entry.fact.kind not in _INNER
        if chunk and (outside or (entry.fact.kind == OPEN and entry.fact.outer)):
            yield chunk
            chunk = []
        if outside:
            yield [entry]
            continue
        chunk.append(entry)
        if entry.fact.kind == CLOSE and entry.fact.outer:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _graft_outer(rows: list[Row], entry: _Entry, path: str) -> None:
    fact, line = entry.fact, entry.line
    if fact.kind == UNKNOWN:
        number = line.new or line.old
        raise UsageError(
            f"{path}:{number}: what {fact.text!r} changes cannot be told without the tree; "
            "give it with --tree"
        )
    if line.kind == ADDED:
        rows.insert(0 if fact.kind == CONSTANT else len(rows), _added(entry, path))
        return
    row = next((r for r in rows if r.fact.key == fact.key and r.kind == CONTEXT), None)
    if row is not None:
        _mark(row, line, path)
    elif fact.kind != CONSTANT:
        raise Misfit(_difference(rows, fact, line, path))


def _difference(rows: list[Row], fact: Fact, line: Line, path: str) -> str:
    stated = fact.text if fact.kind != RESERVE else line.text.strip()
    there = next((r for r in rows if (r.fact.kind, r.fact.name) == (fact.kind, fact.name)), None)
    has = f"has {there.text!r}" if there else "does not have it"
    return f"{path}:{line.old} is {stated!r} in the patch; the release {has}"


def _graft_struct(rows: list[Row], chunk: list[_Entry], hunk: Hunk, path: str) -> None:
    at = _locate(rows, chunk, hunk, path, required=True)
    for entry in chunk:
        if entry.line.kind == ADDED:
            rows.insert(at, _added(entry, path))
        at += 1


def _locate(rows: list[Row], chunk: list[_Entry], hunk: Hunk, path: str, *, required: bool) -> int:
    """The row where a chunk's old facts begin; its rows are marked as the hunk has them."""
    old = [entry for entry in chunk if entry.line.kind != ADDED]
    spots = _spots(rows, [entry.fact for entry in old])
    if len(spots) > 1:
        named = [spot for spot in spots if _struct_at(rows, spot) in hunk.section.split()]
        spots = named or spots
    if len(spots) != 1:
        if not required:
            return 0
        what = "there is no struct" if not spots else f"there are {len(spots)} structs"
        first = next(entry for entry in chunk if entry.line.kind != CONTEXT).line
        raise Misfit(
            f"{path}:{first.old or first.new}: {what} of the release with these fields in a row"
        )
    for offset, entry in enumerate(old):
        _mark(rows[spots[0] + offset], entry.line, path)
    return spots[0]


def _spots(rows: list[Row], wanted: list[Fact]) -> list[int]:
    keys = [fact.key for fact in wanted]
    return [
        spot
        for spot in range(len(rows) - len(keys) + 1)
        if all(rows[spot + n].fact.key == key for n, key in enumerate(keys))
        and all(rows[spot + n].kind == CONTEXT for n in range(len(keys)))
    ]


def _struct_at(rows: list[Row], spot: int) -> str:
    """The tag of the outer struct around a row."""
    for row in reversed(rows[: spot + 1]):
        if row.fact.kind == OPEN and row.fact.outer:
            return row.fact.name
    return ""


def _added(entry: _Entry, path: str) -> Row:
    return Row(entry.fact.text, entry.fact, new=_place(path, entry.line.new), kind=ADDED)


def _mark(row: Row, line: Line, path: str) -> None:
    row.kind = line.kind
    row.old, row.new = _place(path, line.old), _place(path, line.new)


def _place(path: str, line: int | None) -> Place | None:
    return None if line is None else Place(file=path, line=line)
