"""The other numbered ABIs at every release: the numbers that their headers state.

The compiler evaluates them. What it does not see (the other side of an `#if`: Arm's, or Xen's own
alone; what DECLARE_HVM_SAVE_TYPE binds) takes a number all the same, and is read as text.
"""

from __future__ import annotations

from xensave.catalogue.model import Number, Space
from xensave.headers.compiled.clang import compile_headers
from xensave.headers.spaces import SpaceDescription, descriptions
from xensave.headers.text.numbers import read_text
from xensave.headers.trees.tree import GitRepository, GitTree, Tree
from xensave.source.watch import counted

# What the makefiles define for the headers of the toolstack and of xenstored.
_DEFINES = ("__XEN_TOOLS__", "INCLUDE_ENDIAN_H=<endian.h>")


def read_space(tree: Tree, description: SpaceDescription) -> list[tuple[str, int]]:
    """Returns a tree's macros of a space and their values; none where it lacks a header."""
    present = [
        next((path for path in paths if tree.read(path) is not None), None)
        for paths in description.headers
    ]
    roots = [path for path in present if path is not None]
    if len(roots) != len(description.headers):
        return []
    texts = [read_text(tree.read(path) or "", path, description) for path in roots]
    listed = [
        (number.macro, number.number)
        for text in texts
        for number in text.numbers
        if number.number is not None and not number.alias
    ]
    if description.declared:
        return listed

    macros = (description.match, description.limit_macro, description.version)
    wanted = "|".join(f"(?:{macro})" for macro in macros if macro)
    unit = compile_headers(tree, "", roots, defines=_DEFINES, constants=wanted)
    compiled = sorted(
        unit.constants, key=lambda item: (item.place.file or "", item.place.line or 0)
    )
    return list(dict.fromkeys([*((item.name, item.value) for item in compiled), *listed]))


def survey_spaces(repository: GitRepository, refs: dict[str, str]) -> list[Space]:
    """Reads every space at each release, given as name -> revision, oldest first."""
    trees = {release: GitTree(repository, ref) for release, ref in refs.items()}
    return [_survey(trees, description) for description in counted(descriptions(), "number spaces")]


def _survey(trees: dict[str, GitTree], description: SpaceDescription) -> Space:
    named: dict[tuple[int, str], Number] = {}
    limits: list[tuple[str, int]] = []
    versions: list[tuple[str, int]] = []
    retired: dict[tuple[int, str], None] = {}
    for release, tree in trees.items():
        for macro, value in read_space(tree, description):
            name = description.name_of(macro)
            if name is not None:
                first = named[value, name].first if (value, name) in named else release
                named[value, name] = Number(value, name, macro, first, release)
            elif macro == description.version:
                versions.append((release, value))
            else:
                limits.append((release, description.limit_of(value) or 0))
        for name, value in _retired(tree, description):
            retired.setdefault((value, name), None)
    order = list(trees)
    numbers = sorted(named.values(), key=lambda item: (item.number, order.index(item.last)))
    return Space(
        name=description.space,
        title=description.title,
        numbers=tuple(numbers),
        limits=tuple(limits),
        versions=tuple(versions),
        retired=tuple(key for key in sorted(retired) if key not in named),
    )


def _retired(tree: Tree, description: SpaceDescription) -> list[tuple[str, int]]:
    """Numbers whose definitions a header keeps in comments."""
    text = next(filter(None, (tree.read(path) for path in description.headers[-1])), "")
    return [
        (number.name, number.number)
        for number in read_text(text, "", description).retired
        if number.number is not None
    ]
