"""Runs of page records give the events and findings of a walk, whatever the stream."""

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.corpus import seeds
from tests.container.beside import both, opens
from xensave.container import runs
from xensave.container.framing import pack_record
from xensave.container.runs import PageRun, walk_in_runs
from xensave.container.streams import libxc
from xensave.errors import XensaveError
from xensave.image.tally import tally
from xensave.source import MemorySource, open_source
from xensave.testing.mutate import mutate
from xensave.testing.streams import hvm_image, libxc_stream, page_data


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    monkeypatch.setattr(runs, "SHORTEST", 3)
    monkeypatch.setattr(runs, "SHORTEST_OF_ARRAYS", 3)
    monkeypatch.setattr(runs, "LONGEST", 7)


@pytest.fixture
def shortest(monkeypatch):
    """Let any two records that are alike be a run."""
    monkeypatch.setattr(runs, "SHORTEST", 1)
    monkeypatch.setattr(runs, "SHORTEST_OF_ARRAYS", 1)


def record(first, count, type_=0, *, claimed=0, over=0):
    """Return a PAGE_DATA record; it claims some PFNs more, and ends in some bytes more."""
    front = (count + claimed).to_bytes(4, "little") + bytes(4)
    words = b"".join((type_ << 60 | first + n).to_bytes(8, "little") for n in range(count))
    pages = 0 if type_ in (0xD, 0xE, 0xF) else count
    return pack_record(libxc.PAGE_DATA, front + words + bytes(4096 * pages + over))


RECORDS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([0, 0, 0, 1, 5, 0xD, 0xF]),
        st.integers(1, 12),
        st.sampled_from([0, 0, 0, 1, 600]),
        st.sampled_from([0, 0, 0, 3, 8]),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(RECORDS, st.sampled_from([libxc.HVM, libxc.PV]), st.integers(0, 5000))
def test_any_records(parts, domain, cut):
    body = b"".join(
        record(7 * n, count, type_, claimed=claimed, over=over) * times
        for n, (count, type_, times, claimed, over) in enumerate(parts)
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


@pytest.mark.parametrize("over", [1, 7])
def test_damaged_padding_in_a_run(over):
    """Whoever looks at the padding of one record looks at that of all."""
    records = [bytearray(record(n, 1, over=over)) for n in range(30)]
    records[17][-1] = 1
    both(libxc_stream(b"".join(records)))


@pytest.mark.parametrize("claimed", [1, 512, 513, 0xFFFF0000])
def test_arrays_that_do_not_fit_in_a_run(claimed):
    both(libxc_stream(b"".join(record(n, 1, claimed=claimed) for n in range(30))))
    both(libxc_stream(b"".join(record(n, 1, 0xF, claimed=claimed) for n in range(30))))


def test_mutations_of_an_image():
    image = hvm_image("4.17", pages=40)
    chance = random.Random(5)
    for _ in range(150):
        changed = bytearray(image)
        for _ in range(3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        both(bytes(changed))


def test_every_seed_and_what_becomes_of_it(shortest):
    chance = random.Random(18)
    in_runs = 0
    for data in seeds().values():
        both(data)
        for changed in (mutate(data, chance) for _ in range(12)):
            if opens(changed):
                both(changed)
        with suppress(XensaveError), open_source(data) as source:
            in_runs += sum(isinstance(event, PageRun) for event in walk_in_runs(source))
    assert in_runs >= 4


@pytest.mark.parametrize("times", [1, 2, 5])
def test_frames_that_come_again_are_noticed(shortest, times):
    pages = [page_data([n, n + 1]) for n in range(0, 20, 2)]
    body = b"".join(pages * times)
    both(libxc_stream(body))
    with open_source(libxc_stream(body)) as source:
        found = tally(source)
    assert (found.frames, found.resent) == (20 * times, times > 1)
    overlapping = b"".join(page_data([n, n + 9]) for n in range(0, 20, 2))
    both(libxc_stream(overlapping))
    with open_source(libxc_stream(overlapping)) as source:
        assert tally(source).resent


@pytest.mark.parametrize(
    ("at", "step", "noticed"), [(64, 2, True), (65, 2, False), (65, 3, True), (65, 90, False)]
)
def test_a_gap_in_a_record_is_noticed(monkeypatch, at, step, noticed):
    """A record that ends far beyond where it begins, and where the next one begins.

    Right behind its count only each 64th is looked at, elsewhere each.
    """
    monkeypatch.setattr(runs, "LONGEST", 50)
    firsts = [2 * n + (step - 2) * (n > at) for n in range(200)]
    ends = {at: firsts[at] + 80}
    body = b"".join(page_data([first, ends.get(n, first + 1)]) for n, first in enumerate(firsts))
    both(libxc_stream(body))
    with open_source(libxc_stream(body)) as source:
        assert tally(source).resent is noticed


def test_what_only_seems_a_run_is_not_read_again_and_again(monkeypatch):
    """Records that are alike far apart, and not in between: each place is read twice at most."""
    read = []
    strided = MemorySource.strided

    def told(self, offset, stride, size, places):
        read.append(places)
        return strided(self, offset, stride, size, places)

    monkeypatch.setattr(MemorySource, "strided", told)
    one, other = record(1, 1), record(1, 1)[:12] + b"\1" + record(1, 1)[13:]
    with open_source(libxc_stream((one + other + other) * 100)) as source:
        assert len(list(walk_in_runs(source))) == 304
    assert 0 < sum(read) <= 300
