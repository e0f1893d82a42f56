"""What differs between releases is a dated row: no function of these rooms names a release."""

import ast
import re

import pytest

from tests.test_layers import ROOT

# Builders for tests make what an old Xen wrote, by its number.
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent.name != "testing")
RELEASE = re.compile(r"[34]\.\d{1,2}(\.\d{1,2})?")
CITED = {"Dated", "KnownBits", "Period", "Reader"}
VERSION = re.compile(r"version|point|series|release", re.IGNORECASE)


def releases_in(function):
    """Yield the releases that a function's body names: "4.17", (4, 17), or version[1] >= 17."""
    documentation = ast.get_docstring(function, clean=False)
    for node in ast.walk(ast.Module(function.body, [])):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if RELEASE.fullmatch(node.value) and node.value != documentation:
                yield node.value, node.lineno
        elif isinstance(node, (ast.Compare, ast.Call)):
            for side in compared(node):
                if is_version(side):
                    yield ast.unparse(side), node.lineno


def compared(node):
    """Yield what is compared in order, or with versions, and what min() and its like are given."""
    if isinstance(node, ast.Call):
        if ast.unparse(node.func) in ("max", "min", "begun", "in_force"):
            yield from node.args
        return
    sides = [node.left, *node.comparators]
    ordered = isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
    if not ordered and not any(VERSION.search(ast.unparse(side)) for side in sides):
        return
    yield from sides
    for side in sides:
        if isinstance(side, ast.Subscript) and VERSION.search(ast.unparse(side.value)):
            # A part of a version, beside a number.
            yield from (ast.Tuple([ast.Constant(4), part]) for part in sides if is_number(part))
        elif isinstance(side, (ast.Tuple, ast.Set, ast.List)):
            yield from side.elts


def is_number(node):
    return isinstance(node, ast.Constant) and type(node.value) is int


def is_version(node):
    return (
        isinstance(node, ast.Tuple)
        and 2 <= len(node.elts) <= 3
        and all(map(is_number, node.elts))
        and node.elts[0].value in (3, 4)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_names_a_release(path):
    functions = (
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    )
    assert not [*{named for function in functions for named in releases_in(function)}]


def uncited(tree):
    """Yield the dates, and their lines, that stand in no row with a citation."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and node.elts and all(map(is_release, node.elts)):
            around = node
            while around in parents and not is_cited(around):
                around = parents[around]
            if not is_cited(around):
                yield ast.unparse(node), node.lineno


def is_release(node):
    return isinstance(node, ast.Constant) and RELEASE.fullmatch(str(node.value)) is not None


def is_cited(node):
    """Whether a node makes a row that has a citation: by its type, or by the argument's name."""
    if not isinstance(node, ast.Call):
        return False
    if ast.unparse(node.func) == "refused_by":
        # Layer, function, commit, subject, release.
        return len(node.args) == len("lfcsr")
    return ast.unparse(node.func) in CITED or any(each.arg == "cite" for each in node.keywords)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_date_stands_in_a_row_with_its_citation(path):
    assert not [*uncited(ast.parse(path.read_text()))]


def test_a_bare_date_is_seen():
    assert [*uncited(ast.parse('SINCE = ("4.8", "4.9.2")'))] == [("('4.8', '4.9.2')", 1)]
    assert not [*uncited(ast.parse('Dated("A", "B", "c", Cite("f"), ("4.8",))'))]


@pytest.mark.parametrize(
    "line",
    ['release == "4.17"', "version >= (4, 13)", "max(version, (4, 13, 0))", "version[1] >= 13",
     "version[:2] in ((4, 13), (4, 14))", "series[1] == 13"],
)  # fmt: skip
def test_a_release_in_a_function_is_seen(line):
    [function] = ast.parse(f"def holds(version):\n    return {line}\n").body
    assert [*releases_in(function)]
