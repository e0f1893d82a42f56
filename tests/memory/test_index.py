"""What a stream leaves in memory is what libxc's restore puts there."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tests.container.test_legacy import remus
from tests.memory import samples
from tests.memory.samples import PAGE, memory, page, record
from xensave import open as open_image
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import DATALESS_TYPES, PAGE_TYPES
from xensave.errors import Malformed, Truncated
from xensave.memory import AbsentPage
from xensave.testing import streams

XTAB, XALLOC, BROKEN = 0xF, 0xE, 0xD
VERIFY = pack_record(libxc.VERIFY)


def test_the_last_contents_win():
    found = memory(
        record((1, page(1)), (2, page(2))), record((1, page(3)), (1, page(4)), (9, page(9)))
    )
    assert [found.page(pfn)[0] for pfn in (1, 2, 9)] == [4, 2, 9]
    assert (len(found.index), found.index.sent) == (3, 5)
    assert [tuple(each) for each in found.index.passes] == [(2, 2), (3, 1)]


@pytest.mark.parametrize("type_", [XTAB, XALLOC, BROKEN])
def test_a_later_entry_without_contents_clears_nothing(type_):
    found = memory(record((1, page(1)), (2, page(2))), record((1, type_, b"")))
    assert found.page(1) == page(1)
    assert found.index.type_of(1) == 0


def test_an_entry_without_contents_may_get_them():
    found = memory(record((1, XTAB, b""), (2, XTAB, b""), (3, XTAB, b"")), record((2, page(2))))
    assert found.page(2) == page(2)
    assert found.index.type_counts() == {"NOTAB": 1, "XTAB": 2}
    assert [found.index.type_of(pfn) for pfn in (0, 1, 2, 3, 4)] == [None, XTAB, 0, XTAB, None]


def test_the_last_type_of_an_entry_without_contents_counts():
    found = memory(record((5, XTAB, b""), (6, XTAB, b"")), record((6, BROKEN, b"")))
    assert found.index.type_counts() == {"BROKEN": 1, "XTAB": 1}


def test_the_last_type_counts_wherever_its_run_begins():
    found = memory(record((10, BROKEN, b"")), record((9, XALLOC, b""), (10, XALLOC, b"")))
    assert [found.index.type_of(pfn) for pfn in (9, 10)] == [XALLOC, XALLOC]


def sent_at_random(chance, top=48):
    """Records of frames in any order, each a page type and contents, some of them runs."""
    records = []
    for _ in range(chance.randint(1, 9)):
        first = chance.randrange(top)
        frames = chance.choice(
            [chance.sample(range(top), chance.randint(1, 9)), range(first, first + 7)]
        )
        kinds = chance.choice([(0,), (0, 1), (0, XTAB), (XTAB,), (XTAB, BROKEN, 0)])
        records.append([(pfn, chance.choice(kinds), page(chance.randrange(256))) for pfn in frames])
    return records


@pytest.mark.parametrize("seed", range(60))
def test_what_was_sent_at_random(seed):
    """Frame by frame, as a receiver's own memory would have it."""
    records = sent_at_random(random.Random(seed))
    contents, kinds, new = {}, {}, []
    for pfn, kind, data in (entry for entries in records for entry in entries):
        if kind not in DATALESS_TYPES:
            new.append(pfn not in contents)
            contents[pfn] = kind, data
        elif pfn not in contents:
            kinds[pfn] = kind
    kinds |= {pfn: kind for pfn, (kind, _) in contents.items()}
    found = memory(*(record(*entries) for entries in records))
    index = found.index
    frames = sorted(contents)
    assert index.pfns.tolist() == frames
    assert index.types.tolist() == [kinds[pfn] for pfn in frames]
    assert {pfn: found.page(pfn) for pfn in frames} == {pfn: contents[pfn][1] for pfn in frames}
    assert (index.sent, index.listed) == (len(new), sum(map(len, records)))
    assert sum(each.sent for each in index.passes) == len(new)
    assert sum(each.first for each in index.passes) == sum(new)
    every = range(-1, 70)
    assert [index.type_of(pfn) for pfn in every] == [kinds.get(pfn) for pfn in every]
    assert [index.find(pfn) for pfn in every] == [sum(f < pfn for f in frames) for pfn in every]
    offsets = dict(zip(frames, index.offsets.tolist(), strict=True))
    assert [index.offset_of(pfn) for pfn in every] == [offsets.get(pfn) for pfn in every]
    assert index.offsets_of(np.array(every)).tolist() == [offsets.get(pfn, -1) for pfn in every]
    names = Counter(PAGE_TYPES[kind] for kind in kinds.values())
    assert index.type_counts() == names
    for first, end in ((0, None), (3, 40), (17, 18)):
        there = [pfn for pfn in frames if first <= pfn and (end is None or pfn < end)]
        assert spread(found.file_runs(first, end)) == [(pfn, offsets[pfn]) for pfn in there]
        assert [pfn for pfn, _ in spread(found.ranges(first, end))] == there
    assert [pfn for pfn, _ in spread(found.ranges())] == frames
    assert all(a.pfn + a.frames < b.pfn for a, b in pairwise(found.ranges()))


def spread(runs):
    return [(run.pfn + n, run.offset + n * PAGE) for run in runs for n in range(run.frames)]


def test_frames_that_follow_one_another_are_one_run():
    frames = [(pfn, page(1)) for pfn in range(500)]
    index = memory(record(*frames[:300]), record(*frames[300:])).index
    (runs,) = index.windows()
    assert (runs.first.tolist(), runs.frames.tolist()) == ([0, 300], [300, 200])


def test_pages_after_verify_are_compared():
    found = memory(record((1, page(1)), (2, page(2))), VERIFY, record((1, page(1)), (2, page(7))))
    assert found.page(2) == page(2)
    assert found.differing() == [2]
    assert found.index.sent == 2


def rounds(*pages):
    """A checkpointed libxl stream: each page is one round; the last has no checkpoint."""
    end = pack_record(libxc.CHECKPOINT) + pack_record(libxl.CHECKPOINT_END)
    *complete, last = (record((1, page(byte))) for byte in pages)
    tail = streams.hvm_tail("4.17")
    return b"".join(one + tail + end for one in complete) + last


def test_only_complete_checkpoints_count():
    body = rounds(1, 2, 3)
    whole = streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, "4.17")))
    with open_image(whole) as found:
        assert found.memory.page(1) == page(2)


@pytest.mark.parametrize("cut", [1, 100, 4000])
def test_a_cut_after_a_checkpoint_ends_there(cut):
    whole = streams.xl_image(streams.libxl_stream(streams.libxc_stream(rounds(1, 2, 3), "4.17")))
    with open_image(whole[:-cut]) as found:
        assert found.memory.page(1) == page(2)


def test_a_checkpoint_without_the_toolstacks_end_is_not_complete():
    body = rounds(1, 2, 3)
    whole = streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, "4.17")))
    at = whole.rindex(pack_record(libxl.CHECKPOINT_END))
    with open_image(whole[:at]) as found:
        assert found.memory.page(1) == page(1)


def test_a_cut_without_a_checkpoint_is_an_error():
    whole = streams.hvm_image(pages=3)
    with open_image(whole[:-100]) as found, pytest.raises(Truncated):
        found.memory  # noqa: B018


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\1\0\0\0\0\0\0\0",
        record((1, page(1)))[8:-1] + b"",
        record((1, 5, page(1)))[8:],
        record((1, page(1)))[8:] + page(2),
    ],
    ids=["empty", "no room", "short", "type 5", "long"],
)
def test_records_that_libxc_refuses(body):
    with pytest.raises(Malformed, match="PAGE_DATA"):
        memory(pack_record(libxc.PAGE_DATA, body))


def test_a_pipe_and_a_compressed_file_are_read_at_any_place(tmp_path):
    import os
    import threading

    with open_image(samples.HVM) as plain:
        wanted = plain.memory.read(0xF0000, 0x10000)
    out, into = os.pipe()
    data = streams.hvm_image(pages=2) if not samples.HVM.exists() else samples.HVM.read_bytes()
    writer = threading.Thread(target=lambda: os.fdopen(into, "wb").write(data))
    writer.start()
    with os.fdopen(out, "rb") as pipe, open_image(pipe) as piped:
        assert piped.memory.read(0xF0000, 0x10000) == wanted
        assert piped.vcpu(0).registers.rip == 0xB7B9
    writer.join()


class TestReads:
    found = staticmethod(
        lambda: memory(record((1, page(1)), (2, page(2)), (4, page(4)), (0x100000, page(5))))
    )

    def test_across_pages(self):
        assert self.found().read(0x1FFF, 2) == b"\1\2"

    def test_absent(self):
        with pytest.raises(AbsentPage) as caught:
            self.found().read(0x2FFF, 2)
        assert caught.value.pfn == 3
        with pytest.raises(AbsentPage):
            self.found().page(3)

    def test_absent_as_zeros(self):
        found = self.found()
        assert found.read(0x2FFF, 0x1002, zero=True) == b"\2" + bytes(0x1000) + b"\4"
        assert found.page(3, zero=True) == bytes(4096)

    def test_ranges(self):
        ranges = [(run.pfn, run.frames) for run in self.found().ranges()]
        assert ranges == [(1, 2), (4, 1), (0x100000, 1)]

    def test_a_file(self):
        with self.found().open() as file:
            assert file.seek(0, 2) == 0x100001 << 12
            file.seek(0x1FFE)
            assert file.read(4) == b"\1\1\2\2"
            file.seek(0x2FFF)
            assert file.read(1) == b"\2"
            with pytest.raises(AbsentPage):
                file.read(1)
        with self.found().open(zero=True) as file:
            file.seek(0x2FFF)
            assert file.read(3) == b"\2\0\0"

    def test_a_high_frame_takes_no_memory(self):
        found = memory(record(((1 << 52) - 1, page(7)), (0, page(8))))
        assert found.page((1 << 52) - 1) == page(7)
        assert len(found.index) == 2


class TestOfARealXen:
    def test_every_busy_page_is_of_the_last_round(self):
        """The guest wrote its round at both ends of 300 pages while it migrated."""
        found = samples.shared_image(samples.LIVE).memory
        index = found.index
        assert (len(index), index.sent) == (8144, 10700)
        rounds = []
        for pfn in index.pfns.tolist():
            data = found.page(pfn)
            if data.startswith(b"XENSAVE-BUSY guest=live-pvh page="):
                front, back = data[:64].split(), data[4032:4096].split()
                assert front[2] == back[1]
                assert front[3][:16] == back[2][:16]
                rounds.append(int(front[3][6:16]))
        assert sorted(set(rounds)) == [1188, 1189]
        assert (rounds.count(1188), rounds.count(1189)) == (70, 230)

    def test_frames_sent_more_than_once(self):
        index = samples.shared_image(samples.LIVE).memory.index
        assert index.passes[0] == (8144, 8144)
        assert sum(each.sent for each in index.passes) == 10700
        assert sum(each.first for each in index.passes[1:]) == 0

    def test_sixty_four_markers(self):
        found = samples.shared_image(samples.PAIR).memory
        pages = [found.page(pfn) for pfn in found.index.pfns.tolist()]
        assert sum(data.startswith(b"XENSAVE-MARKER guest=xen417-pvh1") for data in pages) == 64

    def test_types_of_a_pv_guest(self):
        counts = samples.shared_image(samples.PV).memory.index.type_counts()
        assert sum(counts.values()) == 16384
        assert counts["L4TAB_PIN"] == 7


@pytest.mark.parametrize("width", [4, 8])
def test_pages_of_a_compressed_legacy_stream(width):
    """Differences make pages that lie in no input; they are read like any other."""
    import random

    chance = random.Random(width)
    stream, states = remus(width, 4, chance)
    with open_image(stream) as found:
        memory = found.memory
        assert {pfn: memory.page(pfn) for pfn in memory.index.pfns.tolist()} == states[-1]
