"""Names are nouns that say what a thing is: some words that say nothing of it are not taken.

A list of records is `records`, not `found`; the glossary has the words of the field.
"""

import ast

import pytest

from tests.test_layers import ROOT

NO_NOUNS = {"found", "given", "held", "kept", "one", "real", "said", "stated"}
ROOMS = sorted(path for path in ROOT.iterdir() if path.name not in ("__pycache__", "volatility"))
AROUND = ("bench", "fuzz", "packaging", "tests")


def public_names(path):
    """What others use: functions, classes, parameters and attributes, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, node.lineno


def names(path):
    """All names that a module binds, with their lines."""
    yield from public_names(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno


def is_no_noun(name):
    return name.strip("_").lower() in NO_NOUNS


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_names_say_what_a_thing_is(room):
    files = sorted(room.rglob("*.py")) if room.is_dir() else [room]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files
        if path.suffix == ".py"
        for name, line in names(path)
        if is_no_noun(name)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", AROUND)
def test_so_do_those_of_builders_and_of_what_is_beside_the_package(folder):
    root = ROOT.parents[1]
    wrong = [
        f"{path.relative_to(root)}:{line}: {name}"
        for path in sorted((root / folder).rglob("*.py"))
        for name, line in public_names(path)
        if is_no_noun(name)
    ]
    assert not wrong, "\n".join(wrong)
