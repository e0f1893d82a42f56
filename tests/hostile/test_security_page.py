"""docs/explanation/security.md states each limit as the code has it."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/explanation/security.md").read_text()
ROWS = re.findall(r"^\| `(xensave[\w.]+)\.([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE)


def test_there_are_rows():
    assert len(ROWS) >= 15


@pytest.mark.parametrize(("module", "name", "value"), ROWS)
def test_limit(module, name, value):
    assert getattr(import_module(module), name) == int(value)
