"""A patch's hunks put onto a release's rows, fact by fact.

The rows are not the lines of the real header, so a hunk is placed by what its lines state: the
numbers it shows must be the release's, and a run of struct members must occur there. Where they do
not, the patch does not fit that release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from xensave.errors import LimitExceeded, UsageError
from xensave.findings import Place
from xensave.headers.compiled.clang import STUB_NAMES
from xensave.review.alone.entries import HunkFact, entries, resized
from xensave.review.alone.facts import WITHIN, HeaderFact, Kind
from xensave.review.alone.standin import DESCRIPTOR, Sheet, SheetRow, SheetStruct
from xensave.review.patches.patch import ADDED, CONTEXT, REMOVED, FilePatch, Hunk, PatchLine, untold

# A statement of the release's that a patch shows and the rows lack is of no consequence.
_UNKNOWN_ROWS = frozenset({Kind.CONSTANT, Kind.OTHER, Kind.CONDITION, Kind.INCLUDE, Kind.FRAME})


# Headers that the compiler is given empty, for their contents bear on no struct.
_HARMLESS = frozenset(STUB_NAMES)


# What is no code, or is looked for elsewhere, wherever it stands; a new header has a guard.
_BESIDE = frozenset({Kind.RESERVE, Kind.INCLUDE, Kind.FRAME})

STRUCTS = 500
"""What a hunk may show of structs: ten times as many as a release has."""


class Misfit(UsageError):
    """A patch that states what the release does not have."""


def graft(sheet: Sheet, patches: Sequence[FilePatch]) -> Sheet:
    """Returns the sheet with what the patches remove and add marked.

    Raises Misfit where they do not fit.

    What an earlier patch did is settled first. Raises UsageError for what cannot be judged.
    """
    grown = sheet.settled()
    created = [patch for patch in patches if patch.old is None]
    for patch in sorted(patches, key=lambda patch: patch.old is not None):
        hunks = [entries(hunk, patch.path) for hunk in patch.hunks]
        resized([entry for part in hunks for entry in part], patch.path)
        for hunk, part in zip(patch.hunks, hunks, strict=True):
            _graft_hunk(grown, part, hunk, patch.path, created)
    return grown


def _graft_hunk(
    sheet: Sheet, lines: Sequence[HunkFact], hunk: Hunk, path: str, created: list[FilePatch]
) -> None:
    conditions = 0
    under: set[int] = set()
    for chunk in _limited(_chunks(lines), path):
        kinds = {entry.fact.kind for entry in chunk}
        if not kinds & WITHIN:
            for entry in chunk:
                conditions += _opens(entry)
                spanned = conditions and entry.fact.kind not in _BESIDE
                if spanned and entry.kind == ADDED:
                    # What stands under a condition is compiled in its place.
                    sheet.extra.append(_added(entry, path))
                    continue
                _graft_outer(sheet, entry, path, created)
                if spanned and entry.kind == CONTEXT:
                    _put_under(sheet, entry, under)
        elif all(entry.kind == ADDED for entry in chunk):
            if chunk[0].fact.kind is Kind.MEMBER or chunk[0].fact.kind is Kind.CLOSE:
                raise UsageError(
                    f"{path}:{chunk[0].line.new}: where {chunk[0].fact.text!r} goes cannot be "
                    "told, for no line around it is shown; give a diff with context, or --tree"
                )
            sheet.extra += [_added(entry, path) for entry in chunk]
        else:
            _graft_struct(sheet, chunk, hunk, path)
    if under:
        sheet.outer = [row for row in sheet.outer if id(row) not in under]
    if conditions:
        raise untold(f"{path}:{hunk.lines[0].new}", "what a conditional that the patch adds spans")


def _put_under(sheet: Sheet, entry: HunkFact, under: set[int]) -> None:
    """Compiles a statement that stays in the place where a condition that is new spans it.

    `under` has the identities of rows that lie there, and no longer in `sheet.outer`.
    """
    row = sheet.staying_outside(entry.fact)
    if row is not None and id(row) not in under:
        under.add(id(row))
        sheet.extra.append(row)


def _opens(entry: HunkFact) -> int:
    """How many conditionals a directive that a patch adds opens, or closes."""
    if entry.kind != ADDED or entry.fact.kind is not Kind.CONDITION:
        return 0
    return -1 if "endif" in entry.fact.name else int("el" not in entry.fact.name[:4])


def _chunks(sheet: Sequence[HunkFact]) -> Iterator[list[HunkFact]]:
    """Runs within one struct, with the directives in them, and every fact outside of any alone."""
    chunk: list[HunkFact] = []
    for entry in sheet:
        fact = entry.fact
        # A last line that changes comes twice, as it was and as it is.
        if _ended(chunk) and not (fact.kind is Kind.CLOSE and fact.outer):
            yield chunk
            chunk = []
        within = fact.kind in WITHIN
        follows = bool(chunk) and entry.kind == ADDED and fact.kind in (Kind.CONDITION, Kind.OTHER)
        if fact.kind is Kind.CONSTANT or not (within or follows):
            if fact.kind is not Kind.CONSTANT and chunk:
                yield chunk
                chunk = []
            yield [entry]
            continue
        if chunk and fact.kind is Kind.OPEN and fact.outer and not _renames(chunk, entry):
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk


def _limited(chunks: Iterable[list[HunkFact]], path: str) -> Iterator[list[HunkFact]]:
    """The chunks. Raises LimitExceeded once too many of them show what a struct has."""
    shown = 0
    for chunk in chunks:
        shown += chunk[0].fact.kind in WITHIN and any(entry.kind != ADDED for entry in chunk)
        if shown > STRUCTS:
            raise LimitExceeded(f"{path}: a hunk shows more than {STRUCTS} structs")
        yield chunk


def _renames(chunk: list[HunkFact], entry: HunkFact) -> bool:
    """Tells whether this is the new first line of a struct that only its old one precedes."""
    return entry.kind == ADDED and [(e.kind, e.fact.kind) for e in chunk] == [(REMOVED, Kind.OPEN)]


def _ended(chunk: list[HunkFact]) -> bool:
    return bool(chunk) and chunk[-1].fact.kind is Kind.CLOSE and chunk[-1].fact.outer


def _graft_outer(sheet: Sheet, entry: HunkFact, path: str, created: list[FilePatch]) -> None:
    fact, line = entry.fact, entry.line
    if entry.kind == ADDED:
        if fact.kind is Kind.INCLUDE:
            _included(entry, path, created)
        elif fact.kind in (Kind.OTHER, Kind.CONDITION):
            sheet.extra.append(_added(entry, path))
        else:
            sheet.add(_added(entry, path))
        return
    row = sheet.staying(fact)
    if row is not None:
        _mark(row, entry, path)
    elif fact.kind is Kind.CONSTANT and entry.kind == CONTEXT:
        # It may size what the patch adds.
        sheet.add(SheetRow(fact, CONTEXT, _place(path, line.old), _place(path, line.new)))
    elif fact.kind not in _UNKNOWN_ROWS or (fact.kind is Kind.FRAME and entry.kind != CONTEXT):
        raise Misfit(_difference(sheet, fact, line, path))


def _included(entry: HunkFact, path: str, created: list[FilePatch]) -> None:
    """An #include that a patch adds is of a header that it brings, or cannot be judged."""
    name = entry.fact.name.rsplit("/", 1)[-1]
    if entry.fact.name in _HARMLESS or name == "xen.h":
        return
    if not any(patch.path.rsplit("/", 1)[-1] == name for patch in created):
        raise untold(f"{path}:{entry.line.new}", f"what {entry.fact.name!r} brings")


def _difference(sheet: Sheet, fact: HeaderFact, line: PatchLine, path: str) -> str:
    text = fact.text if fact.kind is not Kind.RESERVE else line.text.strip()
    there = next(
        (r for r in sheet.outer if (r.fact.kind, r.fact.name) == (fact.kind, fact.name)), None
    )
    has = f"has {there.fact.text!r}" if there else "does not have it"
    return f"{path}:{line.old} is {text!r} in the patch; the release {has}"


def _graft_struct(sheet: Sheet, chunk: list[HunkFact], hunk: Hunk, path: str) -> None:
    """Marks the rows that a chunk shows, and puts what it adds between them."""
    stays = [entry for entry in chunk if entry.kind != ADDED]
    changes = any(entry.kind != CONTEXT for entry in chunk)
    spots = _places(sheet, stays, hunk)
    if len(spots) != 1:
        if not changes:
            return
        what = "there is no struct" if not spots else f"there are {len(spots)} structs"
        first = next(entry for entry in chunk if entry.kind != CONTEXT).line
        where = f"{path}:{first.old or first.new}"
        raise Misfit(f"{where}: {what} of the release with these fields in a row")
    struct, matched = spots[0]
    if not changes:
        for entry, row_numbers in zip(stays, matched, strict=True):
            for number in row_numbers:
                _mark(struct.rows[number], entry, path)
        return
    rows = _grafted_rows(struct, matched, chunk, path)
    if struct.layout.struct:
        sheet.structs[struct.layout.struct] = SheetStruct(struct.layout, rows)
    else:
        sheet.replace_extra(rows)


def _places(
    sheet: Sheet, stays: list[HunkFact], hunk: Hunk
) -> list[tuple[SheetStruct, list[range]]]:
    """Returns where in the release a chunk's fields stand in a row: in which struct, which rows.

    Of several structs those count that the hunk's heading names.
    """
    # What earlier patches of the series added lies outside of the release's structs.
    extra = SheetStruct(DESCRIPTOR._replace(struct=""), sheet.extra)
    spots = [
        (struct, spot) for struct in sheet.structs.values() for spot in _spots(struct, stays)
    ] or [(extra, spot) for spot in _spots(extra, stays)]
    named = [
        (struct, at)
        for struct, at in spots
        if struct.layout.struct in re.findall(r"\w+", hunk.section)
    ]
    return named if len(spots) > 1 and named else spots


def _grafted_rows(
    struct: SheetStruct, matched: list[range], chunk: list[HunkFact], path: str
) -> list[SheetRow]:
    """Returns a struct's rows with those that a chunk shows marked, and what it adds between."""
    rows = list(struct.rows)
    made: list[SheetRow] = []
    at = matched[0][0]
    parts = iter(matched)
    for entry in chunk:
        if entry.kind == ADDED:
            made.append(_added(entry, path))
            continue
        for number in next(parts):
            row = SheetRow(rows[number].fact)
            _mark(row, entry, path)
            made.append(row)
    rows[at : matched[-1][-1] + 1] = made
    return rows


def _spots(struct: SheetStruct, stays: list[HunkFact]) -> Iterator[list[range]]:
    """Where a struct has these facts in a row: for each fact the rows that state it."""
    rows = struct.rows
    for start in range(len(rows)):
        matched: list[range] = []
        at = start
        for entry in stays:
            taken = _states(rows, at, entry.fact)
            if not taken:
                break
            matched.append(taken)
            at = taken.stop
        else:
            if matched:
                yield matched


def _states(rows: list[SheetRow], at: int, fact: HeaderFact) -> range:
    """The rows from one on that state a fact; none where they state another.

    A member of a struct type may stand for all rows of that struct.
    """
    if at >= len(rows) or rows[at].kind != CONTEXT:
        return range(0)
    row = rows[at].fact
    if row.kind is fact.kind and (row.name == fact.name or _may_differ(row, fact)):
        return range(at, at + 1)
    if row.kind is Kind.OPEN and not row.outer and fact.kind is Kind.MEMBER:
        end = _end(rows, at)
        if end is not None and rows[end].fact.name == fact.name:
            return range(at, end + 1)
    return range(0)


def _may_differ(row: HeaderFact, fact: HeaderFact) -> bool:
    """Tells whether a struct's first or last line may have another name in the header.

    What the release has within a struct may be a type of its own in the header; a macro's struct
    has its parameter's name.
    """
    if row.kind is Kind.MEMBER:
        return False
    return (fact.outer and not row.outer) or (row.outer and not fact.outer)


def _end(rows: list[SheetRow], at: int) -> int | None:
    depth = 0
    for number in range(at, len(rows)):
        depth += rows[number].fact.deeper
        if depth == 0:
            return number
    return None


def _added(entry: HunkFact, path: str) -> SheetRow:
    return SheetRow(entry.fact, ADDED, new=_place(path, entry.line.new))


def _mark(row: SheetRow, entry: HunkFact, path: str) -> None:
    row.kind = entry.kind
    row.old, row.new = _place(path, entry.line.old), _place(path, entry.line.new)


def _place(path: str, line: int | None) -> Place | None:
    return None if line is None else Place(file=path, line=line)
