"""Revisions of a repository to sides: each distinct pair of headers is read once."""

from __future__ import annotations

import os
from datetime import datetime

from xensave.errors import SourceError, UsageError
from xensave.headers.trees.tree import GitRepository, GitTree
from xensave.review.trees.sides import read_headers_of, with_handlers
from xensave.rules.numbers.model import Side

HEADERS = ("xen/include/public/hvm/save.h", "xen/include/public/arch-x86/hvm/save.h")


class Revisions:
    """The states of the headers in one repository, by revision.

    The headers of a revision are known by git's hashes of their contents, so that a run over the
    whole history parses each state once. Close it, or use it in a `with`.
    """

    def __init__(self, gitdir: str | os.PathLike[str]) -> None:
        self.repository = GitRepository(gitdir)
        self._sides: dict[str, Side] = {}
        self._files = set(HEADERS)

    def __enter__(self) -> Revisions:
        return self

    def __exit__(self, *_: object) -> None:
        self.repository.close()

    @property
    def has_files(self) -> bool:
        """Whether there is a working tree, rather than a bare repository."""
        return self.repository.git("rev-parse", "--is-bare-repository").strip() != "true"

    def tree(self, revision: str) -> GitTree:
        """Returns the files of a revision."""
        return GitTree(self.repository, revision)

    def side(self, revision: str) -> Side:
        """Returns the headers of a revision, and the handlers that it registers."""
        tree = self.tree(revision)
        key = self.blobs(tree.commit)
        if key not in self._sides:
            side = read_headers_of(tree)
            # What they include counts too, from now on.
            self._files |= {path for path in side.headers.files if path.startswith("xen/")}
            key = self.blobs(tree.commit)
            self._sides[key] = side
        return with_handlers(self._sides[key], tree)

    def blobs(self, commit: str) -> str:
        """Returns Git's hashes of the headers and what they include.

        "" where there are no headers.
        """
        listing = self.repository.git("ls-tree", commit, "--", *sorted(self._files))
        return listing if "hvm/save.h" in listing else ""

    def date(self, commit: str) -> datetime:
        """Returns when a commit was made."""
        return datetime.fromisoformat(
            self.repository.git("log", "-1", "--format=%cI", commit).strip()
        )

    def ends(self, wanted: str) -> tuple[str, str]:
        """Returns the two commits of a range: "A..B", or "A...B" from where they parted.

        Raises UsageError for a revision that is not there, or what is no range.
        """
        mark = "..." if "..." in wanted else ".."
        first, separator, last = wanted.partition(mark)
        if not separator:
            raise UsageError(f"not a range of revisions: {wanted!r}; write A..B")
        start, other = (self.tree(name or "HEAD").commit for name in (first, last))
        if mark == "...":
            start = self.repository.git("merge-base", start, other, missing_ok=True).strip()
            if not start:
                raise UsageError(f"{wanted}: the two have no common commit")
        return start, other


def is_repository(folder: str | os.PathLike[str]) -> bool:
    """Tells whether this is the top of a git working tree, or a bare repository.

    A directory somewhere inside a working tree is taken as the plain directory that it is.
    """
    repository = GitRepository(folder)
    try:
        inside = repository.git("rev-parse", "--is-bare-repository", "--show-prefix").split("\n")
    except SourceError:
        return False
    return inside[0] == "true" or not inside[1].strip()


def top_of(folder: str) -> str:
    """Returns the top of the working tree that a folder is in, or else the folder itself."""
    try:
        return GitRepository(folder).git("rev-parse", "--show-toplevel").strip() or folder
    except SourceError:
        return folder
