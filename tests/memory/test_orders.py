"""In whatever order a guest's frames were sent, the index is what a walk page by page makes."""

import random
from collections import Counter

import numpy as np
import pytest

from tests.memory.samples import image, page, record
from xensave import open as open_image
from xensave.container import runs as container_runs
from xensave.container.framing import pack_record
from xensave.container.runs import SHORTEST, PageRun, walk_in_runs
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SIZE
from xensave.errors import Malformed
from xensave.memory import Memory, PageIndex, build_index
from xensave.memory.batches import Batch, batches
from xensave.memory.index import last_contents, runs
from xensave.source.memory import MemorySource
from xensave.testing import streams

NO_WORDS = np.empty(0, np.uint64)
FRAMES = 600
HIGH = 1 << 33

ORDERS = {
    "ascending": lambda chance: [list(range(FRAMES))],
    "descending": lambda chance: [list(range(FRAMES))[::-1]],
    "scattered": lambda chance: [chance.sample(range(FRAMES), FRAMES)],
    "every other": lambda chance: [list(range(0, FRAMES, 2))],
    "every other of high ones": lambda chance: [[HIGH + pfn for pfn in range(0, FRAMES, 2)]],
    "in twos": lambda chance: [[pfn for pfn in range(FRAMES) if pfn % 3]],
    "scattered twice": lambda chance: [chance.sample(range(FRAMES), FRAMES) for _ in range(2)],
    "resent whole": lambda chance: [list(range(FRAMES))] * 3,
    "resent in part": lambda chance: [
        list(range(FRAMES)),
        *(sorted(chance.sample(range(FRAMES), 60)) for _ in range(4)),
    ],
    "one, again and again": lambda chance: [[7]] * FRAMES,
    "longer and longer": lambda chance: [list(range(7, 7 + count)) for count in range(1, 60)],
    "shorter and shorter": lambda chance: [list(range(7, 7 + count)) for count in range(60, 0, -1)],
    "stairs": lambda chance: [list(range(first, first + 40)) for first in range(90)],
    "stairs down": lambda chance: [list(range(first, first + 40)) for first in range(90, 0, -1)],
    "stretches": lambda chance: [
        list(range(first, first + chance.randint(1, 90)))
        for first in (chance.randrange(FRAMES) for _ in range(120))
    ],
}


def batches_of(sent, chance):
    """Batches of up to 50 pages; those of some have types."""
    start = PAGE_SIZE + 24
    for pfns in sent:
        for at in range(0, len(pfns), 50):
            part = np.array(pfns[at : at + 50], np.int64)
            kinds = chance.choices((0, 1, 4), k=len(part)) if chance.random() < 0.3 else None
            yield Batch(part, start, None if kinds is None else np.array(kinds), NO_WORDS)
            start += len(part) * PAGE_SIZE + 24 + 8 * len(part)


def page_by_page(batches):
    """Returns where each frame's last contents lie and their type, and the new pages of a batch."""
    memory, new = {}, []
    for batch in batches:
        kinds = [0] * len(batch.pfns) if batch.types is None else batch.types.tolist()
        new.append(len(set(batch.pfns.tolist()) - memory.keys()))
        for at, pfn in enumerate(batch.pfns.tolist()):
            memory[pfn] = batch.start + at * PAGE_SIZE, kinds[at]
    return memory, new


@pytest.mark.parametrize("window", [1, 3, 64, 1 << 16])
@pytest.mark.parametrize("name", ORDERS)
def test_as_page_by_page(name, window, monkeypatch):
    for room in (runs, last_contents):
        monkeypatch.setattr(room, "WINDOW", window)
    monkeypatch.setattr(last_contents, "_PAINTED", 5 * window)
    chance = random.Random(name)
    sent = list(batches_of(ORDERS[name](chance), chance))
    memory, new = page_by_page(sent)
    index = build_index(sent)
    frames = sorted(memory)
    assert index.pfns.tolist() == frames
    assert list(zip(index.offsets.tolist(), index.types.tolist(), strict=True)) == [
        memory[pfn] for pfn in frames
    ]
    assert index.sent == sum(len(batch.pfns) for batch in sent)
    assert [each.first for each in index.passes] == new_by_pass(sent, new)
    asked = [*range(frames[0] - 2, frames[0] + 700), 1 << 62]
    assert [index.offset_of(pfn) for pfn in asked] == [memory.get(p, (None,))[0] for p in asked]
    assert [index.type_of(pfn) for pfn in asked] == [memory.get(p, (0, None))[1] for p in asked]
    offsets = index.offsets_of(np.array(asked)).tolist()
    assert offsets == [memory.get(pfn, (-1,))[0] for pfn in asked]
    below = index.positions(np.array(asked)).tolist()
    assert below == [sum(frame < pfn for frame in frames) for pfn in asked]
    counts = Counter(kind for _, kind in memory.values())
    assert sum(index.type_counts().values()) == sum(counts.values())
    assert index.end == frames[-1] + 1
    ranges = [(run.pfn, run.frames) for run in Memory(MemorySource(b""), index).ranges()]
    at = np.flatnonzero(np.diff(frames, prepend=-2) != 1)
    lengths = np.diff(at, append=len(frames)).tolist()
    assert ranges == list(zip(np.array(frames)[at].tolist(), lengths, strict=True))
    together = [index.together(pfn) for pfn in frames]
    assert all(
        offset + n * PAGE_SIZE == memory[pfn + n][0]
        for pfn, (offset, count) in zip(frames, together, strict=True)
        for n in range(count)
    )


def new_by_pass(sent, new):
    """A pass begins where a batch begins at or below the last page of the one before."""
    passes, last = [0], -1
    for batch, count in zip(sent, new, strict=True):
        if batch.pfns[0] <= last:
            passes.append(0)
        passes[-1] += count
        last = batch.pfns[-1]
    return passes


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("ascending", 2),
        ("descending", 12),
        ("scattered", 12),
        ("scattered twice", 12),
        ("every other", 12),
        ("in twos", 12),
        ("every other of high ones", 16),
    ],
)
def test_bytes_a_frame(name, most):
    chance = random.Random(name)
    untyped = [batch._replace(types=None) for batch in batches_of(ORDERS[name](chance), chance)]
    index = build_index(untyped)
    assert isinstance(index, PageIndex)
    # Of a guest of more than 64 Ki frames: of a smaller one numbers have 16 bits.
    far = Batch(np.array([1 << 20]), 1 << 40, None, NO_WORDS)
    larger = build_index([*untyped, far])
    assert larger.nbytes <= most * len(larger)
    assert index.nbytes <= larger.nbytes


def test_what_is_far_up_costs_no_more():
    """Frames that a stream may name, and no guest has."""
    top = (1 << 52) - 1
    sent = [Batch(np.array([top, 3, top - 1]), 4096, None, NO_WORDS)] * 2
    index = build_index(sent)
    assert index.pfns.tolist() == [3, top - 1, top]
    assert index.nbytes <= 3 * 16
    assert index.offset_of(top) == 4096
    assert [index.offset_of(pfn) for pfn in (-1, 1 << 52, 1 << 80)] == [None, None, None]


def alike(chance, count=300, kinds=(0,), pages=4):
    """Records that are as long as one another, of frames in any order."""
    frames = [chance.sample(range(900), pages) for _ in range(count)]
    return [
        record(*((pfn, chance.choice(kinds), page(pfn % 251)) for pfn in pfns)) for pfns in frames
    ]


def read_record_by_record(guest):
    return build_index(batches(guest.events()))


def told(index):
    frames = [*zip(index.pfns.tolist(), index.offsets.tolist(), index.types.tolist(), strict=True)]
    compared = index.compared and told(index.compared)
    return frames, index.sent, index.listed, index.passes, index.type_counts(), compared


@pytest.mark.parametrize("kinds", [(0,), (0, 0, 0, 0, 0, 1), (3,)])
def test_records_in_runs_are_records_one_by_one(kinds, monkeypatch):
    monkeypatch.setattr(container_runs, "WINDOW", 1 << 12)
    chance = random.Random(str(kinds))
    verify = pack_record(libxc.VERIFY)
    ascending = [record((pfn, page(pfn % 7)), (pfn + 1, page(1))) for pfn in range(0, 400, 2)]
    empty = [record((7, 0xF, b""), (8, page(3)))]
    sent = [*alike(chance, kinds=kinds), *empty, *ascending, verify, *alike(chance, 200)]
    stream = streams.libxc_stream(b"".join(sent) + streams.hvm_tail("4.17"), "4.17")
    saved = streams.xl_image(streams.libxl_stream(stream))
    events = list(walk_in_runs(MemorySource(saved), listed="all", least=SHORTEST))
    assert sum(isinstance(event, PageRun) for event in events) >= 3
    assert len(events) < len(sent) / 2
    with open_image(saved) as guest:
        assert told(guest.memory.index) == told(read_record_by_record(guest))


def test_a_record_that_libxc_refuses_is_refused_within_a_run():
    """Its entries are as many, and of one there is no page."""
    chance = random.Random(1)
    bad = bytearray(alike(chance, 1)[0])
    bad[16 + 7] = 0xF0
    with image(*alike(chance), bytes(bad), *alike(chance)) as guest:
        with pytest.raises(Malformed) as one_by_one:
            read_record_by_record(guest)
        with pytest.raises(Malformed) as in_runs:
            guest.memory  # noqa: B018
        assert str(in_runs.value) == str(one_by_one.value)
        assert "offset" in str(in_runs.value)
