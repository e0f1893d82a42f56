"""What is staged for the next commit: the index of a repository as a tree."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.headers.trees.tree import GitRepository, checked


class StagedTree:
    """The files of a repository's index, which git names ":path"."""

    def __init__(self, repository: GitRepository) -> None:
        self.repository = repository
        self.label = f"{repository.path} (staged)"

    def read(self, path: str) -> str | None:
        """Returns the text of a staged file."""
        text = self.repository.read(f":{path}")
        return None if text is None else checked(text, self.label, path)

    def paths(self) -> Iterator[str]:
        """Returns every staged path."""
        listing = self.repository.git("ls-files", "-z", "--cached")
        return iter(listing.rstrip("\0").split("\0"))
