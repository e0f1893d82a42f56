"""The handlers that a tree registers for records, found in its C files.

HVM_REGISTER_SAVE_RESTORE(NAME, ...) registers a record by name; CPU_XSAVE and CPU_MSR, whose
length varies, are registered by hvm_register_savevm(CPU_XSAVE_CODE, ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from xensave.catalogue.model import ZEROEXTEND
from xensave.findings import Place
from xensave.headers.trees.overlay import Overlay
from xensave.headers.trees.staged import StagedTree
from xensave.headers.trees.tree import DirectoryTree, GitRepository, GitTree, Tree
from xensave.rules.numbers.model import Handler

FOLDERS = ("xen/arch/x86", "xen/common")
_WORDS = "HVM_REGISTER_SAVE_RESTORE|hvm_register_savevm|load_entry_zeroextend"
_REGISTERS = re.compile(
    r"\bHVM_REGISTER_SAVE_RESTORE\s*\(\s*([A-Z]\w*)\s*,"
    r"|\bhvm_register_savevm\s*\(\s*([A-Z]\w*)_CODE\s*,"
)
ZEROEXTENDS = re.compile(r"\bhvm_load_entry_zeroextend\s*\(\s*([A-Z]\w*)\s*,")


def handlers(tree: Tree) -> tuple[tuple[Handler, ...] | None, dict[str, str]]:
    """The handlers of a tree, and the records that they load zero-extended.

    None where the tree has no such files: the public headers alone.
    """
    found: list[Handler] = []
    loads: dict[str, str] = {}
    for path, line, text in _lines(tree):
        for match in _REGISTERS.finditer(text):
            found.append(Handler(match[1] or match[2], Place(file=path, line=line)))
        for match in ZEROEXTENDS.finditer(text):
            loads[match[1]] = ZEROEXTEND
    return tuple(found) or None, loads


def _lines(tree: Tree) -> Iterator[tuple[str, int, str]]:
    if isinstance(tree, Overlay):
        ours = tree.files
        yield from (row for row in _lines(tree.below) if row[0] not in ours)
        yield from _search(tree, (path for path in ours if _is_source(path)))
    elif isinstance(tree, GitTree):
        yield from _grep(tree, tree.repository, tree.commit)
    elif isinstance(tree, StagedTree):
        yield from _grep(tree, tree.repository, "--cached")
    else:
        yield from _search(tree, (path for path in _paths(tree) if _is_source(path)))


def _grep(tree: Tree, repository: GitRepository, where: str) -> Iterator[tuple[str, int, str]]:
    """Git's own search: it is many times faster than reading every file.

    One line after a match is read too, for a call that is broken after its bracket.
    """
    found = repository.git(
        "grep", "-n", "-z", "-E", "-e", _WORDS, where, "--", *FOLDERS, missing_ok=True
    )
    for row in found.split("\n"):
        if row.count("\0") < 2:
            continue
        name, number, text = row.split("\0", 2)
        path = name.removeprefix(f"{where}:")
        if not path.endswith(".c"):
            continue
        if text.rstrip().endswith("("):
            lines = (tree.read(path) or "").split("\n")
            text += " ".join(lines[int(number) : int(number) + 1])
        yield path, int(number), text


def _paths(tree: Tree) -> Iterable[str]:
    if not isinstance(tree, DirectoryTree):
        return tree.paths()
    return (
        found.relative_to(tree.root).as_posix()
        for folder in FOLDERS
        for found in (tree.root / folder).rglob("*.c")
    )


def _is_source(path: str) -> bool:
    return path.endswith(".c") and path.startswith(FOLDERS)


def _search(tree: Tree, paths: Iterable[str]) -> Iterator[tuple[str, int, str]]:
    wanted = re.compile(_WORDS)
    for path in sorted(paths):
        text = tree.read(path) or ""
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if wanted.search(line):
                broken = line.rstrip().endswith("(") and number < len(lines)
                yield path, number, line + (lines[number] if broken else "")
