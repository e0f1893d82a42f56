"""Where headers come from: a directory, or a revision of a git repository, read-only.

A tree gives the text of a file by its path. Paths are relative to the tree's root and use "/".
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from xensave.errors import LimitExceeded, SourceError, UsageError

# Bytes of one file of a tree. Xen's largest source has a fifth of it.
FILE_LIMIT = 4 << 20
# Characters of one line of C: what reads C with patterns takes their square for a line in the worst
# case. Xen's longest has a third of it.
LINE_LIMIT = 1000
_LONG = re.compile(rf"[^\n]{{{LINE_LIMIT + 1}}}")
_VERSION = re.compile(r"XEN_(VERSION|SUBVERSION)\s*[:?]?=\s*(\d+)")
_RELEASE = re.compile(r"v?(\d+\.\d+)(\.\d+)?")
PUBLIC = ("xen/include/public", "include/public", "public", "include/xen", "xen", "")


def refuse_long_lines(text: str, where: str) -> None:
    """Raises LimitExceeded for C with a line that no person wrote."""
    if _LONG.search(text):
        raise LimitExceeded(f"{where}: a line of more than {LINE_LIMIT} characters")


def checked(text: str, label: str, path: str) -> str:
    """Returns the text of a tree's file. Raises LimitExceeded for C with lines too long."""
    if path.endswith((".h", ".c")):
        refuse_long_lines(text, f"{label}: {path}")
    return text


class Tree(Protocol):
    """Files by path, from wherever they lie."""

    label: str

    def read(self, path: str) -> str | None:
        """Returns the text of a file, or None where there is none."""
        ...

    def paths(self) -> Iterator[str]:
        """Returns every path of the tree."""
        ...


class DirectoryTree:
    """The files below a directory."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.label = str(root)
        if not self.root.is_dir():
            raise SourceError(f"{self.label}: no such directory")
        self._top = self.root.resolve()

    def read(self, path: str) -> str | None:
        """Returns the text of a regular file below the directory.

        A link that leads out of the directory is as good as absent: a tree that someone sent
        shows its own files and no others. Raises LimitExceeded for a file above FILE_LIMIT.
        """
        place = (self.root / path).resolve()
        if not place.is_relative_to(self._top) or not place.is_file():
            return None
        with place.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise LimitExceeded(f"{self.label}: {path} is longer than {FILE_LIMIT} bytes")
        return checked(data.decode("utf-8", "replace"), self.label, path)

    def paths(self) -> Iterator[str]:
        """Yields every file below the directory."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                yield (Path(folder) / name).relative_to(self.root).as_posix()


class MemoryTree:
    """Files given as a mapping from path to text: a patched header, a test."""

    def __init__(self, files: dict[str, str], label: str = "memory") -> None:
        self.files = files
        self.label = label

    def read(self, path: str) -> str | None:
        """Returns the text of a file."""
        return self.files.get(path)

    def paths(self) -> Iterator[str]:
        """Returns every path given."""
        return iter(self.files)


class GitRepository:
    """A git repository, bare or not, read with git's own tool; nothing is written to it.

    One `git cat-file --batch` serves every read; `close()` ends it, and so does leaving a `with`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise SourceError(f"{path}: no such directory")
        self._batch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> GitRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the reader process."""
        if self._batch is not None and self._batch.stdin and self._batch.stdout:
            self._batch.stdin.close()
            self._batch.stdout.close()
            self._batch.wait()
            self._batch = None

    def git(self, *words: str, missing_ok: bool = False) -> str:
        """Returns the output of a git command, "" for exit status 1 where `missing_ok`.

        Raises SourceError where git fails.
        """
        command = ["git", "--no-replace-objects", "-C", str(self.path), *words]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 1 and missing_ok:
            return ""
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
            raise SourceError(f"{self.path}: git {words[0]}: {reason}")
        return done.stdout.decode("utf-8", "replace")

    def commit(self, revision: str) -> str:
        """Returns the full hash of a revision's commit.

        Raises UsageError for a word that is no revision.
        """
        if revision.startswith("-"):
            raise UsageError(f"not a revision: {revision!r}")
        return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()

    def read(self, name: str) -> str | None:
        """Returns the text of a blob by git's name for it ("REV:path"), or None.

        Raises LimitExceeded above FILE_LIMIT.
        """
        if "\n" in name:
            return None
        stdin, stdout = self._pipes()
        stdin.write(name.encode() + b"\n")
        stdin.flush()
        head = stdout.readline().rstrip(b"\n").rsplit(b" ", 2)
        if len(head) != 3 or not head[2].isdigit():
            return None  # "NAME missing", "NAME ambiguous"
        if int(head[2]) > FILE_LIMIT:
            self.close()
            raise LimitExceeded(f"{self.path}: {name} is longer than {FILE_LIMIT} bytes")
        data = stdout.read(int(head[2]) + 1)[:-1]
        return data.decode("utf-8", "replace") if head[1] == b"blob" else None

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._batch is None:
            command = ["git", "--no-replace-objects", "-C", str(self.path), "cat-file", "--batch"]
            self._batch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._batch.stdin is None or self._batch.stdout is None:
            raise SourceError(f"{self.path}: git cat-file did not start")
        return self._batch.stdin, self._batch.stdout


class GitTree:
    """The files of one revision."""

    def __init__(self, repository: GitRepository, revision: str) -> None:
        self.repository = repository
        try:
            self.commit = repository.commit(revision)
        except SourceError as error:
            more = _tag_of(revision)
            raise UsageError(f"{repository.path}: no such revision: {revision!r}{more}") from error
        self.label = f"{repository.path}@{revision}"

    def read(self, path: str) -> str | None:
        """Returns the text of a file of the revision."""
        text = self.repository.read(f"{self.commit}:{path}")
        return None if text is None else checked(text, self.label, path)

    def paths(self) -> Iterator[str]:
        """Returns every path of the revision."""
        listing = self.repository.git("ls-tree", "-r", "-z", "--name-only", self.commit)
        return iter(listing.rstrip("\0").split("\0"))


def _tag_of(revision: str) -> str:
    """Returns a hint for who names a release: Xen's tags are called RELEASE-4.17.0."""
    match = _RELEASE.fullmatch(revision)
    return f"; the tag of a release is RELEASE-{match[1]}{match[2] or '.0'}" if match else ""


def version_of(tree: Tree) -> str:
    """Returns the version that a tree's build reports ("4.23"); "" where it has no xen/Makefile."""
    numbers = dict(_VERSION.findall(tree.read("xen/Makefile") or ""))
    return f"{numbers['VERSION']}.{numbers['SUBVERSION']}" if len(numbers) == 2 else ""


def _without_headers(tree: Tree) -> str:
    if isinstance(tree, DirectoryTree) and all(
        (tree.root / name).exists() for name in ("HEAD", "objects", "refs")
    ):
        return f"a bare repository: name a revision of it, as {tree.label}@HEAD"
    return "no public headers: no hvm/save.h in it"


def public_prefix(tree: Tree) -> str:
    """Returns the folder of the public headers in a tree, with a trailing "/" ("" for the root).

    Raises UsageError where the tree has no hvm/save.h.
    """
    for folder in PUBLIC:
        prefix = f"{folder}/" if folder else ""
        if tree.read(f"{prefix}hvm/save.h") is not None:
            return prefix
    prefixes = [
        path.removesuffix("hvm/save.h")
        for path in tree.paths()
        if path.endswith("public/hvm/save.h")
    ]
    if not prefixes:
        raise UsageError(f"{tree.label}: {_without_headers(tree)}")
    return min(prefixes, key=lambda prefix: (len(prefix), prefix))
