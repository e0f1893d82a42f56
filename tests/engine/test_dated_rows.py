"""What differs between releases is a dated row: no function of these rooms names a release."""

import ast
import re

import pytest

from tests.test_layers import ROOT

ROOMS = ("engine", "toolstack", "convert")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
RELEASE = re.compile(r"[34]\.\d{1,2}(\.\d{1,2})?")
CITED = {"Dated", "KnownBits", "Period"}


def releases_in(function):
    """Yield the releases that a function's body names: "4.17", or (4, 17) beside a comparison."""
    documentation = ast.get_docstring(function, clean=False)
    for node in ast.walk(ast.Module(function.body, [])):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if RELEASE.fullmatch(node.value) and node.value != documentation:
                yield node.value, node.lineno
        elif isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Tuple) and ast.unparse(side).startswith(("(3,", "(4,")):
                    yield ast.unparse(side), node.lineno


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
    return isinstance(node, ast.Call) and (
        ast.unparse(node.func) in CITED or any(each.arg == "cite" for each in node.keywords)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_date_stands_in_a_row_with_its_citation(path):
    assert not [*uncited(ast.parse(path.read_text()))]


def test_a_bare_date_is_seen():
    assert [*uncited(ast.parse('SINCE = ("4.8", "4.9.2")'))] == [("('4.8', '4.9.2')", 1)]
    assert not [*uncited(ast.parse('Dated("A", "B", "c", Cite("f"), ("4.8",))'))]
