"""What every test may rely on."""

import pytest


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """Text is as wide as in a pipe, whatever ran the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)
