"""What a function raises its docstring names, and no error is told from others by its words."""

import ast
import pickle
import re

import pytest

from tests.test_layers import ROOT
from xensave import errors
from xensave.context import AbsentRecord

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


CUTS = {"startswith", "endswith", "split", "rsplit", "partition", "rpartition", "find", "index",
        "removeprefix", "removesuffix"}  # fmt: skip


def errors_of(tree):
    """Yield each handler's body and function's, with the name of the error that it is about."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node
        elif isinstance(node, ast.FunctionDef):
            for argument in node.args.args:
                if argument.annotation and re.search(
                    r"Error|Exception", ast.unparse(argument.annotation)
                ):
                    yield argument.arg, node


def words_heeded(tree):
    """Yield the lines that ask for an error's words, or put others in their place."""
    for name, body in errors_of(tree):
        words = {f"str({name})", f"{name}.message", f"{name}.args[0]", f"{name}.args"}
        for node in ast.walk(body):
            asked = []
            if isinstance(node, ast.Compare):
                asked = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                asked = [node.func.value] if node.func.attr in CUTS else []
                asked += node.args if ast.unparse(node.func.value) == "re" else []
            elif isinstance(node, (ast.Assign, ast.AugAssign)):
                asked = node.targets if isinstance(node, ast.Assign) else [node.target]
            if words & {ast.unparse(each) for each in asked}:
                yield node.lineno


@pytest.mark.parametrize("room", [*ROOMS, ROOT / "cli"], ids=lambda room: room.name)
def test_no_error_is_told_by_its_words(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (sorted(room.rglob("*.py")) if room.is_dir() else [room])
        for line in words_heeded(ast.parse(path.read_text()))
    ]
    assert not wrong, f"tell it by its class or data, or use `reworded`: {wrong}"


@pytest.mark.parametrize(
    "line",
    ["'no such' in str(error)", "str(error).startswith('no')", "error.message = 'another'",
     "error.message += '; more'", "re.match('no', error.message)", "error.args[0] == 'no'",
     "error.message.split(': ')[1]"],
)  # fmt: skip
def test_what_heeds_words_is_seen(line):
    tree = ast.parse(f"try:\n    pass\nexcept ValueError as error:\n    {line}\n")
    assert [*words_heeded(tree)]


@pytest.mark.parametrize(
    "error",
    [
        errors.Truncated("cut", wanted=8, got=3, offset=16, record="libxc END").about("a.img"),
        errors.MissingExtra("reading C headers", "clang.cindex", "headers"),
        errors.UsageError("no release '9'").among("9", ("4.17", "4.18")),
        AbsentRecord("the context holds no CPU", offset=8),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_whole_after_a_process_handed_it_on(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert vars(again) == vars(error)
    other = error.reworded("something else")
    assert vars(other) == vars(error) | {"message": "something else"}
