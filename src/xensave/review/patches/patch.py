"""The diff of a message: files, hunks and lines with their numbers on both sides."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.errors import LimitExceeded, UsageError
from xensave.headers.trees.tree import refuse_long_lines

# Lines that a diff may show of one header or source: several times what Xen's longest has.
LINES = 20_000
# Characters of the same: three times Xen's longest source, whole.
CHARACTERS = 512 << 10
# Hunks that one file may have: several times what the longest of Xen's changes have.
HUNKS = 500

_HEADER = re.compile(
    r"(?:^|/)(?P<path>(?:xen/include/public|include/public|public)/(?:arch-x86/)?hvm/save\.h)$"
)
_PUBLIC = re.compile(r"(?:^|/)(?:xen/)?(?:include/)?public/(?:[\w.-]+/)*[\w.-]+\.h$")
_SOURCE = re.compile(r"^(?:[abciow]/)?xen/(?:[\w.+-]+/)*[\w.+-]+\.c$")
_OTHER_ARCH = re.compile(r"xen/arch/(?!x86/)|public/arch-(?!x86)")
_LONGEST_PATH = 4096
"""PATH_MAX of Linux: no file has a longer name."""
_GIT = re.compile(r"^(?=diff --(?:git|cc|combined) )", re.MULTILINE)
_PLAIN = re.compile(r"^(?=--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_INDEX = re.compile(r"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_INSIDE = re.compile(r"(?:xen|tools|docs)/")
_OUTSIDE = re.compile(
    r"/(xen/(?:include|arch|common|drivers|xsm)/.*|tools/(?:libs|libxc|libxl|xenstored?)/.*"
    r"|docs/(?:specs|designs)/.*)$"
)
LineKind: TypeAlias = Literal["-", "+", " "]
REMOVED: Final = "-"
ADDED: Final = "+"
CONTEXT: Final = " "


def untold(where: str, what: str) -> UsageError:
    """Returns the error for what the lines of a patch alone do not tell."""
    return UsageError(f"{where}: {what} cannot be told without the tree; give it with --tree")


class PatchLine(NamedTuple):
    """A line of a hunk: REMOVED, ADDED or CONTEXT, and its number before and after."""

    kind: LineKind
    text: str
    old: int | None
    new: int | None

    @property
    def number(self) -> int | None:
        """Its number after the change, or before it where it goes."""
        return self.new or self.old


class Hunk(NamedTuple):
    """A hunk: `head` is its @@ line."""

    head: str
    lines: tuple[PatchLine, ...]
    old_start: int
    section: str

    @property
    def before(self) -> list[PatchLine]:
        """The lines that the file must have."""
        return [line for line in self.lines if line.kind != ADDED]

    @property
    def after(self) -> list[PatchLine]:
        """The lines that it then has."""
        return [line for line in self.lines if line.kind != REMOVED]


class FilePatch(NamedTuple):
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
    """Returns the path of a save header as Xen's tree has it, or None for any other file.

    >>> header_path("b/xen/include/public/arch-x86/hvm/save.h")
    'xen/include/public/arch-x86/hvm/save.h'
    """
    match = _HEADER.search(path) if path else None
    if match is None:
        return None
    return "xen/include/public/" + match["path"].split("public/", 1)[1]


def is_public_header(path: str | None) -> bool:
    """Tells whether this is a public header of Xen for x86, which the save headers may include."""
    if not path or len(path) > _LONGEST_PATH:
        return False
    return bool(_PUBLIC.search(path)) and not _OTHER_ARCH.search(path)


def is_handler_source(path: str | None) -> bool:
    """Tells whether this is C of the hypervisor, which may register handlers."""
    return bool(path and _SOURCE.search(path)) and not _OTHER_ARCH.search(path or "")


def parse_diff(text: str) -> list[FilePatch]:
    """Returns the files of a diff. Raises UsageError for one that is damaged or cannot be read.

    A header of which the diff shows no lines that can be read is never passed over: a combined
    diff, a binary one, hunks without counts.
    """
    import unidiff

    source = _mended(text)
    renamed = _refuse_unreadable(source)
    try:
        files = unidiff.PatchSet(source)
    except (unidiff.UnidiffParseError, ValueError) as error:
        raise UsageError(f"the patch is damaged: {error}".strip()) from error
    blobs = _blobs(source)
    parsed = []
    for item in files:
        old, new = _name(item.source_file), _name(item.target_file)
        hunks = tuple(_hunk(hunk) for hunk in item)
        if not hunks and (new or old) in renamed.values():
            continue
        parsed.append(FilePatch(old, new, hunks, blobs.get(new or old or "")))
    known = {(file.old, file.new) for file in parsed}
    parsed += [FilePatch(old, new, ()) for old, new in renamed.items() if (old, new) not in known]
    return parsed


def _refuse_unreadable(text: str) -> dict[str, str]:
    """Raises for a file that counts and cannot be read.

    Returns what is renamed, old name to new.
    """
    renamed: dict[str, str] = {}
    parts = _GIT if _GIT.search(text) else _PLAIN
    for part in parts.split(text)[1:]:
        first = part.split("\n", 1)[0]
        names = [_name(name) for name in _names_of(part)]
        ours = next((n for n in names if is_public_header(n) or is_handler_source(n)), None)
        moved = re.search(r"^rename from (.+)\nrename to (.+)$", part, re.MULTILINE)
        if moved:
            renamed[moved[1].strip()] = moved[2].strip()
        if ours is None:
            continue
        if part.count("\n") > LINES:
            raise LimitExceeded(f"{ours}: the patch has more than {LINES} lines of it")
        if len(part) > CHARACTERS:
            raise LimitExceeded(f"{ours}: the patch has more than {CHARACTERS >> 10} KiB of it")
        refuse_long_lines(part, ours)
        if first.startswith(("diff --cc ", "diff --combined ")) or "\n@@@ " in part:
            raise UsageError(
                f"{ours}: a combined diff of a merge does not tell what each parent had; give "
                "what git show -m prints, or a range with --tree"
            )
        if re.search(r"^(?:GIT binary patch|Binary files .* differ)$", part, re.MULTILINE):
            raise UsageError(f"{ours}: a binary patch shows no line of it; give it as text")
        marks = re.findall(r"^@@.*$", part, re.MULTILINE)
        if len(marks) > HUNKS:
            raise LimitExceeded(f"{ours}: the patch has more than {HUNKS} hunks of it")
        bad = next((mark for mark in marks if not _HUNK.match(mark)), None)
        if bad is not None:
            raise UsageError(f"the patch is damaged: {ours}: {bad!r} has no line numbers")
    return renamed


def _names_of(part: str) -> list[str]:
    names = re.findall(r"^(?:---|\+\+\+) ([^\t\n]+)", part, re.MULTILINE)
    first = re.match(r"diff --(?:git|cc|combined) (.+)", part)
    return [*names, *(first[1].split(" ") if first else [])]


def _hunk(hunk: object) -> Hunk:
    lines = tuple(
        PatchLine(line.line_type, line.value.rstrip("\n"), line.source_line_no, line.target_line_no)
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
    plain = re.sub(r"^[abciow12]/", "", name.strip().strip('"'))
    # Two trees side by side, as plain diff compares them: xen-4.17.0/xen/arch/x86/hvm/hvm.c.
    outside = None if _INSIDE.match(plain) else _OUTSIDE.search(plain)
    return outside[1] if outside else plain


def _blobs(text: str) -> dict[str, tuple[str, str]]:
    blobs = {}
    for part in re.split(r"^(?=diff --git )", text, flags=re.MULTILINE):
        name, index = re.match(r"diff --git \S+ \S*?b/(\S+)", part), _INDEX.search(part)
        if name and index:
            blobs[name[1]] = (index[1], index[2])
    return blobs


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
    # After a line that changes, a diff that ends is one that was cut.
    missing = old if old == new and 0 < old <= 3 and lines[-1][:1] in ("", " ") else 0
    return "\n".join([*lines, *[" "] * missing]) + "\n"
