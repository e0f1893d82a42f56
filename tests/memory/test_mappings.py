"""All that tables map, listed, and looked up the other way round."""

import random
from itertools import pairwise

import pytest

from tests.memory.samples import memory, record
from tests.memory.test_paging import CASES, NX, PS, P, space, table
from xensave.errors import LimitExceeded
from xensave.image.memory import reverse
from xensave.image.memory.reverse import ReverseMap
from xensave.memory import AddressSpace, Memory, NotMapped, mappings, paging

PAGE = 4096
HALF = 0xFFFF800000000000


@pytest.fixture(scope="module")
def scattered():
    """4-level tables with pages of each size, some next to each other, in both halves."""
    chance = random.Random(5)
    small = {n: chance.randrange(64) << 12 | P | chance.choice((0, NX)) for n in range(0, 512, 3)}
    small |= {n: (n << 12) + 0x700000 | P for n in range(100, 140)}
    large = {n: chance.randrange(64) << 21 | PS | P for n in range(0, 512, 5)}
    large |= {n: n << 21 | PS | P for n in range(200, 300)} | {7: 0x5000 | P, 250: 0x5000 | P}
    huge = {0: 0x4000 | P, 5: 3 << 30 | PS | P, 6: 4 << 30 | PS | P, 511: 0x4000 | P}
    root = {0: 0x3000 | P, 256: 0x3000 | P, 300: 0x9000 | P, 511: 0x3000 | P}
    pages = {1: table(root), 3: table(huge), 4: table(large), 5: table(small)}
    return space(paging.FOUR_LEVEL, pages)


def test_a_list_is_what_the_walk_says(scattered):
    listed = scattered.mappings()
    assert [run.virtual for run in listed] == sorted(run.virtual for run in listed)
    for run in listed:
        for at in (0, run.size // 2, run.size - 1):
            assert scattered.translate(run.virtual + at).physical == run.physical + at
    chance = random.Random(6)
    for _ in range(4000):
        virtual = chance.choice((0, HALF, (1 << 64) - (1 << 39))) + chance.randrange(8 << 30)
        inside = [run for run in listed if run.virtual <= virtual < run.virtual + run.size]
        try:
            physical = scattered.translate(virtual).physical
        except NotMapped:
            assert not inside
        else:
            assert [run.physical + virtual - run.virtual for run in inside] == [physical]


def test_neighbours_are_one(scattered):
    runs = list(scattered.mappings())
    for run, after in pairwise(runs):
        follows = run.virtual + run.size == after.virtual
        assert not (follows and run.physical + run.size == after.physical)


@pytest.mark.parametrize(
    ("first", "last"), [(HALF, (1 << 64) - 1), (1 << 30, 6 << 30), (7 << 21, (8 << 21) - 1)]
)
def test_a_part_of_the_list(scattered, first, last):
    part = {run for run in scattered.mappings() if run.virtual + run.size > first}
    part = {run for run in part if run.virtual <= last}
    for run in scattered.mappings(first, last):
        whole = [each for each in part if each.virtual <= run.virtual < each.virtual + each.size]
        assert len(whole) == 1
        assert run.virtual - run.physical == whole[0].virtual - whole[0].physical
    assert {run.virtual for run in part if run.virtual >= first} <= {
        run.virtual for run in scattered.mappings(first, last)
    }


@pytest.mark.parametrize("case", CASES)
def test_each_mode_the_other_way_round(case):
    mode, pages, cr3, virtual, physical, size = CASES[case]
    found = ReverseMap([space(mode, pages, cr3)])
    assert virtual in found.virtual(physical)
    assert virtual - virtual % size in found.virtual(physical - physical % size)
    assert found.virtual(physical - physical % size + size) == []


def test_the_other_way_round_all_addresses_come(scattered):
    runs = list(scattered.mappings())
    found = ReverseMap([scattered, scattered])
    chance = random.Random(7)
    for _ in range(500):
        physical = chance.randrange(1 << 23) if chance.random() < 0.5 else chance.randrange(6 << 30)
        expected = sorted(
            run.virtual + physical - run.physical
            for run in runs
            if run.physical <= physical < run.physical + run.size
        )
        assert found.virtual(physical) == expected
    assert ReverseMap([]).virtual(0) == []


def test_a_frame_that_is_mapped_everywhere_has_so_many_addresses(monkeypatch):
    everywhere = dict.fromkeys(range(512), 0x50000 | P)
    pages = {1: table({0: 0x2000 | P}), 2: table({0: 0x3000 | P}), 3: table({0: 0x4000 | P})}
    found = [space(paging.FOUR_LEVEL, {**pages, 4: table(everywhere)})]
    assert len(ReverseMap(found).virtual(0x50123)) == 512
    monkeypatch.setattr(reverse, "ADDRESSES_LIMIT", 100)
    some = ReverseMap(found).virtual(0x50123)
    assert len(some) == 100
    assert all(found[0].translate(address).physical == 0x50123 for address in some)


def test_large_pages_count_towards_the_limit(monkeypatch):
    monkeypatch.setattr(mappings, "MAPPINGS_LIMIT", 3000)
    same = dict.fromkeys(range(512), 0x200000 | PS | P)
    pages = {1: table(dict.fromkeys(range(512), 0x2000 | P))}
    pages |= {2: table(dict.fromkeys(range(512), 0x3000 | P)), 3: table(same)}
    with pytest.raises(LimitExceeded, match="3,000 runs"):
        space(paging.FOUR_LEVEL, pages).mappings()


def test_tables_that_roots_share_are_read_once(monkeypatch):
    roots = {n: table({0: 0x2000 | P, 1: n << 12 | P}) for n in range(0x100, 0x110)}
    pages = {**roots, 2: table({0: 0x3000 | P}), 3: table({0: 0x4000 | P}), 4: table({0: P})}
    guest = memory(record(*sorted(pages.items())))
    read = []
    one = Memory.read
    monkeypatch.setattr(Memory, "read", lambda *args: [read.append(args[1]), one(*args)][1])
    assert 8 in ReverseMap(AddressSpace(guest, paging.FOUR_LEVEL, n << 12) for n in roots).virtual(
        8
    )
    assert read.count(0x10F000) > 1
    # At the address of the first entry, once; below each root's second, again.
    assert read.count(0x4000) == 1
