"""A tree with some files changed: what a patch makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xensave.headers.trees.tree import Tree


class Overlay:
    """The files of the tree `below`, save those that `files` gives; None there deletes one."""

    def __init__(self, below: Tree, files: Mapping[str, str | None], label: str) -> None:
        self.below = below
        self.files = files
        self.label = label

    def read(self, path: str) -> str | None:
        """Returns the text of a file, or None where there is none."""
        return self.files[path] if path in self.files else self.below.read(path)

    def paths(self) -> Iterator[str]:
        """Yields every path of the tree."""
        yield from (path for path in self.below.paths() if path not in self.files)
        yield from (path for path, text in self.files.items() if text is not None)
