"""What differs between releases is a dated row: no function of these rooms names a release."""

import ast
import re

import pytest

from tests.test_layers import ROOT

ROOMS = ("engine", "toolstack", "convert")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
RELEASE = re.compile(r"[34]\.\d{1,2}(\.\d{1,2})?")


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
