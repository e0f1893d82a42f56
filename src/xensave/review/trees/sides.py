"""A tree's headers, read whole, as the rules want them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xensave.findings import Place
from xensave.headers.model import DEFINE, HeaderRecord, HeaderSpace
from xensave.headers.save import read_tree
from xensave.headers.text.places import field_lines
from xensave.headers.trees.tree import Tree, version_of
from xensave.review.handlers import handlers
from xensave.rules.numbers.model import Side


def read_side(tree: Tree) -> Side:
    """Returns one state of a tree. Raises Malformed where its headers do not compile."""
    return with_handlers(read_headers_of(tree), tree)


def with_handlers(side: Side, tree: Tree) -> Side:
    """Returns a side of headers, with what the tree registers."""
    registered = handlers(tree)
    side = replace(side, version=version_of(tree))
    if registered is None:
        return side
    kinds = {each.record: each.kind for each in registered.registrations if each.kind}
    return replace(side, handlers=registered, loads=registered.loads, kinds=kinds)


def read_headers_of(tree: Tree) -> Side:
    """Returns the headers of a tree alone."""
    space = read_tree(tree)
    space = replace(space, records=_bound_once(space))
    return Side(space, _lines(space, tree))


def _bound_once(space: HeaderSpace) -> tuple[HeaderRecord, ...]:
    """The records without the `#define X_CODE n` of one that is declared by that number."""
    declared = {record.name for record in space.records if record.form != DEFINE}
    return tuple(
        record for record in space.records if record.form != DEFINE or record.name not in declared
    )


def _lines(space: HeaderSpace, tree: Tree) -> Mapping[tuple[str, str], Place]:
    """The places of every record's struct and fields."""
    texts: dict[str, str] = {}
    lines: dict[tuple[str, str], Place] = {}
    for record in space.records:
        file = record.place.file or ""
        if record.layout is None:
            continue
        if file not in texts:
            texts[file] = tree.read(file) or ""
        for path, place in field_lines(texts[file], file, record.layout.struct).items():
            lines[record.name, path] = place
    return lines
