"""A release that the catalogue has, and the data of the toolstack has not yet."""

from xensave import catalogue
from xensave.toolstack.libxl.config import _holds, _last_read

NAMES = catalogue.release_names()
NEWEST = _last_read()


def test_a_member_of_the_last_release_that_was_read_stays_in_later_ones(monkeypatch):
    names = [*NAMES[:-1], "9.9", "master"]
    monkeypatch.setattr(catalogue, "release_names", lambda: names)
    for place in range(names.index(NEWEST), len(names)):
        assert _holds("4.6", NEWEST, place)
        assert not _holds("4.6", "4.9", place)
    assert not _holds("4.6", NEWEST, names.index("4.5"))
