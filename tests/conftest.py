"""What every test may rely on."""

import pytest
from hypothesis import HealthCheck, settings

# Nothing passes or fails by time: neither an example, nor how long it takes to draw one.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """Text is as wide as in a pipe, whatever ran the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)
