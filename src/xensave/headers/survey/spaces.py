"""The other numbered ABIs: described in data/spaces.json, read from the headers of each release.

A description names the headers (each the first that exists of several paths, for files move), a
pattern whose group is the number's name, and the macro that bounds the numbers, if there is one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NotRequired, TypedDict

from xensave.catalogue.model import Number, Space
from xensave.headers.compiled.clang import Constant, compile_headers
from xensave.headers.trees.tree import GitRepository, GitTree, Tree

DESCRIPTIONS = Path(__file__).parents[1] / "data" / "spaces.json"


class Description(TypedDict):
    """Where a space's numbers stand, and how their names look."""

    name: str
    title: str
    headers: list[list[str]]
    match: str
    limit: NotRequired[str]


def descriptions(path: Path = DESCRIPTIONS) -> list[Description]:
    """Read the descriptions of the spaces."""
    found: list[Description] = json.loads(path.read_text(encoding="utf-8"))["spaces"]
    return found


def read_space(tree: Tree, description: Description) -> list[Constant]:
    """Read a space's numbers from one tree; none where the tree has none of its headers."""
    present = [
        next((path for path in paths if tree.read(path) is not None), None)
        for paths in description["headers"]
    ]
    if not present or None in present:
        return []
    wanted = "|".join(filter(None, (description["match"], description.get("limit"))))
    roots = [path for path in present if path is not None]
    unit = compile_headers(tree, "", roots, defines=["__XEN_TOOLS__"], constants=wanted)
    return sorted(unit.constants, key=lambda item: (item.place.file or "", item.place.line or 0))


def survey_spaces(repository: GitRepository, refs: dict[str, str]) -> list[Space]:
    """Read every space at each release, given as name -> revision, oldest first."""
    trees = {release: GitTree(repository, ref) for release, ref in refs.items()}
    return [_survey(trees, description) for description in descriptions()]


def _survey(trees: dict[str, GitTree], description: Description) -> Space:
    pattern = re.compile(description["match"])
    found: dict[tuple[int, str], Number] = {}
    limits: list[tuple[str, int]] = []
    for release, tree in trees.items():
        for constant in read_space(tree, description):
            match = pattern.fullmatch(constant.name)
            if match is None:
                limits.append((release, constant.value))
                continue
            key = (constant.value, match[1])
            first = found[key].first if key in found else release
            found[key] = Number(constant.value, match[1], constant.name, first, release)
    order = list(trees)
    numbers = sorted(found.values(), key=lambda item: (item.number, order.index(item.last)))
    return Space(
        name=description["name"],
        title=description["title"],
        numbers=tuple(numbers),
        limits=tuple(limits),
    )
