"""Runs of page records give the events and findings of a walk, whatever the stream."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xensave.container import runs
from xensave.container.framing import pack_record
from xensave.container.runs import PageRun, walk_in_runs
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.errors import XensaveError
from xensave.rules.stream.run import Verification
from xensave.source import open_source
from xensave.testing.streams import hvm_image, libxc_stream, page_data


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    monkeypatch.setattr(runs, "SHORTEST", 3)
    monkeypatch.setattr(runs, "LONGEST", 7)


def seen(events):
    """Return what a walk gave, and how it ended."""
    told = []
    try:
        for event in events:
            for each in event.apart() if isinstance(event, PageRun) else (event,):
                told.append(
                    (each.label, each.offset, each.length, bytes(each.prefix(16)), each.end)
                )
    except XensaveError as error:
        told.append((type(error).__name__, error.offset, error.record, error.message))
    return told


def both(data):
    with open_source(data) as source:
        plain = seen(walk(source))
    for pfns in (False, True):
        with open_source(data) as source:
            assert seen(walk_in_runs(source, pfns=pfns)) == plain
    with open_source(data) as source:
        wanted = [str(finding) for finding in Verification(source, apart=True)]
    with open_source(data) as source:
        verification = Verification(source)
        assert [str(finding) for finding in verification] == wanted
    return plain


def record(first, count, type_=0, pages=None):
    front = count.to_bytes(4, "little") + bytes(4)
    words = b"".join((type_ << 60 | first + n).to_bytes(8, "little") for n in range(count))
    data = 0 if type_ in (0xD, 0xE, 0xF) else count
    return pack_record(
        libxc.PAGE_DATA, front + words + bytes(4096 * (data if pages is None else pages))
    )


RECORDS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([0, 0, 0, 1, 5, 0xD, 0xF]), st.integers(1, 12)),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.sampled_from([libxc.HVM, libxc.PV]), st.integers(0, 5000))
def test_any_records(parts, domain, cut):
    body = b"".join(
        record(7 * n, count, type_) * times for n, (count, type_, times) in enumerate(parts)
    )
    stream = libxc_stream(body, domain=domain)
    both(stream)
    both(stream[: max(60, len(stream) - cut)])


def test_a_run_is_used():
    body = b"".join(page_data([n]) for n in range(40))
    with open_source(libxc_stream(body)) as source:
        assert [e.records for e in walk_in_runs(source) if isinstance(e, PageRun)] == [7] * 5 + [4]


@pytest.mark.parametrize("at", [8, 9, 12, 15, 16, 23, 4096 + 24])
def test_one_damaged_record_in_a_run(at):
    body = bytearray(b"".join(record(n, 1) for n in range(30)))
    size = len(body) // 30
    body[17 * size + at] ^= 0x5A
    both(libxc_stream(bytes(body)))


def test_mutations_of_an_image():
    image = hvm_image("4.17", pages=40)
    chance = random.Random(5)
    for _ in range(150):
        changed = bytearray(image)
        for _ in range(3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        both(bytes(changed))
