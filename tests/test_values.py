"""Named tuples for values, classes for what changes: the rule is docs' first decision."""

import ast

import pytest

from tests.test_layers import ROOT

ROOMS = sorted(path for path in ROOT.iterdir() if path.suffix in ("", ".py"))
# What a named tuple cannot have: a default that is made anew, keywords alone, a value kept.
NEEDS = ("default_factory", "kw_only=True", "@cached_property")


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_dataclass_that_does_not_change_needs_to_be_one(room):
    wrong = []
    for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            frozen = any("dataclass" in mark and "frozen=True" in mark for mark in marks)
            if frozen and not any(need in ast.unparse(node) for need in NEEDS):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)
