"""A docstring says what a function does, in the third person, or what a value is, as a noun.

ruff holds the rest: every public thing has one, and its first line ends with a period.
"""

import ast
import re

import pytest

from tests.test_layers import ROOT
from xensave.rules.rows import ROWS

ROOMS = sorted(path for path in ROOT.iterdir() if path.suffix in ("", ".py"))
VERB = re.compile(r"[A-Z][a-z]+s\b")
PLURALS = {"Axes", "Bytes", "Fields", "Frames", "Macros", "Numbers", "Pages", "Rows", "Words"}
# A check of a number space says what it objects to: `review --rule` prints that.
CHECKS = {row.check.__name__ for row in ROWS}


def documented(path):
    """The public functions of a module that are no properties, with their docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any("property" in ast.unparse(mark) for mark in node.decorator_list):
            continue
        text = ast.get_docstring(node)
        if text and node.name not in CHECKS:
            yield node, text


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_function_says_what_it_does(room):
    files = sorted(room.rglob("*.py")) if room.is_dir() else [room]
    wrong = []
    for path in files:
        for node, text in documented(path):
            verb = VERB.match(text)
            if verb is None or verb[0] in PLURALS:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}")
    assert not wrong, "\n".join(wrong)
