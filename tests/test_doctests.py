"""The examples in docstrings, and those of docs/reference/api.md, run from the project's root."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import xensave

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(xensave.__path__, "xensave.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed


def test_api_page(monkeypatch):
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(ROOT / "docs/reference/api.md"), module_relative=False)
    assert tried > 10
    assert not failed
