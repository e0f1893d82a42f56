"""The handlers that a tree registers for records, found in its C files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xensave.headers.text.registrations import (
    REGISTER,
    REGISTER_CALL,
    TABLE,
    Registration,
    has_check_pass,
    registrations,
)
from xensave.headers.trees.overlay import Overlay
from xensave.headers.trees.staged import StagedTree
from xensave.headers.trees.tree import DirectoryTree, GitRepository, GitTree, Tree
from xensave.rules.numbers.model import Handlers

FOLDER = "xen/"
# Other architectures have records of their own, under numbers of their own.
_OTHERS = re.compile(r"xen/arch/(?!x86/)")
_WORDS = (REGISTER, REGISTER_CALL, TABLE)


def handlers(tree: Tree) -> Handlers | None:
    """Returns the handlers of a tree, in every C file below xen/.

    None where the tree has no such files: the public headers alone.
    """
    registered: list[Registration] = []
    check_pass = False
    for path in sorted(_sources(tree)):
        text = tree.read(path) or ""
        registered += registrations(path, text)
        check_pass = check_pass or (TABLE in text and has_check_pass(text))
    return Handlers(tuple(registered), check_pass) if registered else None


def handlers_differ(before: Tree, after: Tree) -> bool:
    """Tells whether a C file that speaks of handlers differs between two states of a tree."""
    paths = {*_sources(before), *_sources(after)}
    return any(before.read(path) != after.read(path) for path in sorted(paths))


def _sources(tree: Tree) -> Iterator[str]:
    """The C files that speak of handlers."""
    if isinstance(tree, Overlay):
        yield from (path for path in _sources(tree.below) if path not in tree.files)
        yield from (path for path, text in tree.files.items() if _speaks(path, text))
    elif isinstance(tree, GitTree):
        yield from _grep(tree.repository, tree.commit)
    elif isinstance(tree, StagedTree):
        yield from _grep(tree.repository, "--cached")
    elif isinstance(tree, DirectoryTree):
        for file in (tree.root / FOLDER).rglob("*.c"):
            path = file.relative_to(tree.root).as_posix()
            if _speaks(path, tree.read(path)):
                yield path
    else:
        yield from (path for path in tree.paths() if _speaks(path, tree.read(path)))


def _grep(repository: GitRepository, where: str) -> Iterator[str]:
    """Git's own search: it is many times faster than reading every file."""
    names = repository.git(
        "grep", "-l", "-z", "-E", "-e", "|".join(_WORDS), where, "--", FOLDER, missing_ok=True
    )
    for name in names.split("\0"):
        path = name.removeprefix(f"{where}:")
        if Path(path).suffix == ".c" and not _OTHERS.match(path):
            yield path


def _speaks(path: str, text: str | None) -> bool:
    ours = path.startswith(FOLDER) and path.endswith(".c") and not _OTHERS.match(path)
    return ours and text is not None and any(word in text for word in _WORDS)
