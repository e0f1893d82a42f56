"""The diff of a message: files, hunks and lines with their numbers on both sides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from xensave.errors import UsageError

_HEADER = re.compile(
    r"(?:^|/)(?P<path>(?:xen/include/public|include/public|public)/(?:arch-x86/)?hvm/save\.h)$"
)
_INDEX = re.compile(r"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@")
REMOVED, ADDED, CONTEXT = "-", "+", " "


class Line(NamedTuple):
    """A line of a hunk: REMOVED, ADDED or CONTEXT, and its number before and after."""

    kind: str
    text: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Hunk:
    """A hunk: `head` is its @@ line."""

    head: str
    lines: tuple[Line, ...]
    old_start: int
    section: str

    @property
    def before(self) -> list[Line]:
        """The lines that the file must have."""
        return [line for line in self.lines if line.kind != ADDED]

    @property
    def after(self) -> list[Line]:
        """The lines that it then has."""
        return [line for line in self.lines if line.kind != REMOVED]


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a patch does to one file. `old` or `new` is None for a file created or deleted.

    `blobs` are git's abbreviated hashes of the file before and after, where the diff has them.
    """

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    blobs: tuple[str, str] | None = None

    @property
    def path(self) -> str:
        """The file's path after the change, or before it where it is deleted."""
        return self.new or self.old or ""


def header_path(path: str | None) -> str | None:
    """The path of a save header as Xen's tree has it, or None for any other file.

    >>> header_path("b/xen/include/public/arch-x86/hvm/save.h")
    'xen/include/public/arch-x86/hvm/save.h'
    """
    match = _HEADER.search(path) if path else None
    if match is None:
        return None
    return "xen/include/public/" + match["path"].split("public/", 1)[1]


def parse_diff(text: str) -> list[FilePatch]:
    """The files of a diff. Raises UsageError for one that is damaged, saying how."""
    import unidiff

    source = _mended(text)
    try:
        files = unidiff.PatchSet(source)
    except (unidiff.UnidiffParseError, ValueError) as error:
        raise UsageError(f"the patch is damaged: {error}".strip()) from error
    blobs = _blobs(source)
    parsed = []
    for item in files:
        old, new = _name(item.source_file), _name(item.target_file)
        hunks = tuple(_hunk(hunk) for hunk in item)
        parsed.append(FilePatch(old, new, hunks, blobs.get(new or old or "")))
    return parsed


def _hunk(hunk: object) -> Hunk:
    lines = tuple(
        Line(line.line_type, line.value.rstrip("\n"), line.source_line_no, line.target_line_no)
        for line in hunk  # type: ignore[attr-defined]  # unidiff has no types
        if line.line_type in (REMOVED, ADDED, CONTEXT)
    )
    start, length = hunk.source_start, hunk.source_length  # type: ignore[attr-defined]
    head = (
        f"@@ -{start},{length} "
        f"+{hunk.target_start},{hunk.target_length} @@"  # type: ignore[attr-defined]
    )
    section = str(hunk.section_header).strip()  # type: ignore[attr-defined]
    return Hunk(f"{head} {section}".strip(), lines, start, section)


def _name(name: str | None) -> str | None:
    if name is None or name == "/dev/null":
        return None
    return re.sub(r"^[abciow12]/", "", name.strip().strip('"'))


def _blobs(text: str) -> dict[str, tuple[str, str]]:
    found = {}
    for part in re.split(r"^(?=diff --git )", text, flags=re.MULTILINE):
        name, index = re.match(r"diff --git \S+ \S*?b/(\S+)", part), _INDEX.search(part)
        if name and index:
            found[name[1]] = (index[1], index[2])
    return found


def _mended(text: str) -> str:
    """The diff with the empty context lines at its end put back, which web pages strip.

    At most the three that git shows after a change, and only where the last hunk's own counts
    demand just these; any other difference is left for the parser to refuse.
    """
    lines = text.rstrip("\n").split("\n")
    old = new = 0
    for line in lines:
        head = _HUNK.match(line)
        if head:
            old, new = int(head[1] or 1), int(head[2] or 1)
        elif old or new:
            old -= line[:1] in ("", " ", "-")
            new -= line[:1] in ("", " ", "+")
    missing = old if old == new and 0 < old <= 3 else 0
    return "\n".join([*lines, *[" "] * missing]) + "\n"
