"""Objects by address: ranges, troubles, and objects that change."""

import pytest

from xensave.container.walk import walk
from xensave.errors import SourceError, Truncated, UsageError
from xensave.image.glance import glance
from xensave.source import open_source
from xensave.source.remote.stores import expand


def gets(store):
    return [size for method, path, size in store.trouble.requests if method == "GET"]


def test_a_glance_takes_two_ranges_and_finds_what_a_walk_finds(store, sample):
    address = store.put("a.img", sample)
    with open_source(sample) as source:
        wanted = [
            (e.label, e.offset, bytes(e.body())) for e in walk(source) if "PAGE" not in e.label
        ]
    with open_source(address) as source:
        seen = [
            (e.label, e.offset, bytes(e.body())) for e in glance(source) if "PAGE" not in e.label
        ]
    assert seen == wanted
    assert len(store.trouble.requests) <= 4
    assert sum(gets(store)) < 1 << 20


@pytest.mark.parametrize("act", ["500", "cut", "drop"])
def test_trouble_costs_a_wait_not_the_answer(store, sample, act):
    address = store.put("a.img", sample)
    with open_source(address) as source:
        store.trouble.plan = [act]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]
        store.trouble.plan = [act, "", act]
        assert bytes(source.view(len(sample) - 50, 50)) == sample[-50:]


def test_an_object_that_changes_is_an_error(store, sample):
    address = store.put("a.img", sample)
    with open_source(address) as source:
        source.view(0, 100)
        store.trouble.change = lambda: store.put("a.img", sample[:-8] + b"otherend")
        store.trouble.plan = ["change"]
        with pytest.raises(SourceError, match="changed while it was read"):
            source.view(len(sample) - 100, 100)


def test_a_store_that_stays_down_is_said_in_a_line(store, sample, monkeypatch):
    monkeypatch.setattr("xensave.source.remote.patience.ATTEMPTS", 1)
    address = store.put("a.img", sample)
    with open_source(address) as source:
        store.trouble.plan = ["500"] * 1000
        with pytest.raises(SourceError) as caught:
            source.view(10_000_000, 100)
    assert "\n" not in str(caught.value)


def test_wild_cards_name_objects(store, sample):
    for key in ("a/1.img", "a/b/2.img", "a/b/3.txt"):
        store.put(key, sample[:1000])
    assert [e.address for e in expand("s3://images/**/*.img")] == [
        "s3://images/a/1.img",
        "s3://images/a/b/2.img",
    ]
    with pytest.raises(SourceError, match="nothing matches"):
        list(expand("s3://images/*.none"))


def test_what_is_not_there_is_told(store):
    with pytest.raises(SourceError, match=r"s3://images/none\.img"):
        open_source("s3://images/none.img")
    with pytest.raises(UsageError, match="no scheme"):
        open_source("nosuch://images/none.img")


def test_reads_past_the_end_are_truncated(store, sample):
    address = store.put("a.img", sample[:5000])
    with open_source(address) as source, pytest.raises(Truncated):
        source.view(4990, 20)
