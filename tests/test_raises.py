"""A public function's docstring names the errors that the function itself raises."""

import ast

import pytest

from tests.test_layers import ROOT
from xensave import errors

KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
# A package that is missing is told by the command; commands raise UsageError for their words.
KINDS -= {"MissingExtra"}
ROOMS = sorted(path for path in ROOT.iterdir() if path.suffix in ("", ".py") and path.name != "cli")


class Raised(ast.NodeVisitor):
    """The errors that a function's own statements raise; functions within it do not count."""

    def __init__(self, function):
        self.kinds = set()
        for statement in function.body:
            self.visit(statement)

    def visit_FunctionDef(self, node):
        pass

    def visit_Raise(self, node):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(kind, ast.Name) and kind.id in KINDS:
            self.kinds.add(kind.id)


def public(body, around=""):
    """The public functions of a module or class, with their docstring and that of their class."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, (ast.get_docstring(node) or "") + around


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_docstring_names_what_the_function_raises(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} raises {kind}"
        for path in (sorted(room.rglob("*.py")) if room.is_dir() else [room])
        for node, text in public(ast.parse(path.read_text()).body)
        for kind in sorted(Raised(node).kinds)
        if kind not in text
    ]
    assert not wrong, "\n".join(wrong)
