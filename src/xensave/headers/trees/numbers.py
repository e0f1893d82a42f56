"""The numbers of a space in a tree: the first that there is of the files which may state them."""

from __future__ import annotations

from collections.abc import Sequence

from xensave.headers.spaces import SpaceDescription
from xensave.headers.text.numbers import SpaceText, read_document, read_text
from xensave.headers.trees.tree import PUBLIC, Tree


def read_file(tree: Tree, path: str) -> str | None:
    """Reads a file of Xen's tree, or of its public headers alone, wherever these lie."""
    text = tree.read(path)
    if text is None and path.startswith(PUBLIC[0]):
        below = path.removeprefix(PUBLIC[0])
        texts = (tree.read(f"{folder}{below}".lstrip("/")) for folder in PUBLIC[1:])
        text = next((text for text in texts if text is not None), None)
    return text


def read_numbers(
    tree: Tree, paths: Sequence[str], description: SpaceDescription
) -> SpaceText | None:
    """Returns what a tree's header, or document, states of a space; None where it has none."""
    for path in paths:
        text = read_file(tree, path)
        if text is not None:
            document = path in description.documents
            return (read_document if document else read_text)(text, path, description)
    return None
