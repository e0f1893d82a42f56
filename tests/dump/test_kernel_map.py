"""Which parts of the kernel's mappings become segments: all, or the largest of too many."""

import random

import numpy as np
import pytest

from xensave.dump import kernel_map
from xensave.dump.kernel_map import pieces
from xensave.memory import Mappings

HALF = 0xFFFF800000000000


def some(chance, count):
    """Mappings of frames 0 to 99 at ascending addresses, and runs of frames with contents."""
    first = np.array([chance.randrange(90) for _ in range(count)], np.int64)
    frames = np.array([chance.randrange(1, 30) for _ in range(count)], np.int64)
    virtual = np.array([HALF + (at << 30) for at in range(count)], np.uint64)
    edges = sorted(chance.sample(range(100), 20))
    return (
        Mappings(virtual, first << 12, frames << 12),
        np.array(edges[::2], np.int64),
        np.array(edges[1::2], np.int64),
    )


def by_frames(mappings, firsts, ends):
    """The same, frame by frame."""
    runs = list(zip(firsts.tolist(), ends.tolist(), strict=True))
    parts = []
    for virtual, physical, size in mappings:
        first, end = physical >> 12, physical + size >> 12
        for number, (low, high) in enumerate(runs):
            inside = [frame for frame in range(first, end) if low <= frame < high]
            if inside:
                ahead = inside[0] - first << 12
                parts.append((virtual + ahead, inside[0], len(inside), number))
    return parts


def listed(parts):
    return list(zip(*(column.tolist() for column in parts), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_parts_with_contents(seed):
    mappings, firsts, ends = some(random.Random(seed), 12)
    expected = by_frames(mappings, firsts, ends)
    assert listed(pieces(mappings, firsts, ends, 1000)) == expected
    fewer = listed(pieces(mappings, firsts, ends, 5))
    sizes = sorted((frames for _, _, frames, _ in expected), reverse=True)
    assert sorted((frames for _, _, frames, _ in fewer), reverse=True) == sizes[:5]
    assert fewer == [part for part in expected if part in fewer]


def test_no_runs_and_no_mappings():
    mappings, firsts, ends = some(random.Random(0), 3)
    assert listed(pieces(mappings, firsts[:0], ends[:0], 9)) == []
    assert listed(pieces(mappings.where(np.array([], np.int64)), firsts, ends, 9)) == []


def test_mappings_that_cross_all_runs_are_not_all_looked_at(monkeypatch):
    monkeypatch.setattr(kernel_map, "PIECES_LIMIT", 40)
    mappings, firsts, ends = some(random.Random(1), 50)
    whole = Mappings(mappings.virtual, mappings.physical * 0, mappings.size * 0 + (100 << 12))
    assert len(pieces(whole, firsts, ends, 30).run) == 30
