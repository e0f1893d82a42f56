"""Memory that lies in files is compared window by window, memory that passes by hashes."""

import gzip
import random
import tempfile
from pathlib import Path

import pytest

import xensave
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PageData
from xensave.diff import compare, contents
from xensave.testing import streams
from xensave.testing.sparse import write_sparse_image

SHM = Path("/dev/shm")
ZERO = bytes(libxc.PAGE_SIZE)


def memory(old, new):
    with xensave.open(old) as a, xensave.open(new) as b:
        return compare(a, b).memory


def sent(frames, chance):
    """A stream of frames in runs that come in any order; some are sent twice, the last counts."""
    numbers = sorted(frames)
    cuts = sorted(chance.sample(range(1, len(numbers)), chance.randint(0, 12)))
    runs = [numbers[a:b] for a, b in zip([0, *cuts], [*cuts, len(numbers)], strict=True)]
    if chance.random() < 0.7:
        chance.shuffle(runs)
    again = [run for run in runs if chance.random() < 0.2]
    records = [
        pack_record(libxc.PAGE_DATA, PageData(tuple(run)).to_bytes() + b"".join(map(page, run)))
        for page, some in ((lambda _: b"\xee" * libxc.PAGE_SIZE, again), (frames.get, runs))
        for run in some
    ]
    return streams.libxc_stream(b"".join(records) + streams.hvm_tail("4.17"))


def page_of(chance):
    if chance.random() < 0.2:
        return ZERO
    return bytes(chance.randint(0, 4095)) + b"\1" + bytes(4096)


def two_moments(chance):
    """Two dictionaries from frame to page, most of them alike."""
    old = {pfn: page_of(chance)[:4096] for pfn in range(300) if chance.random() < 0.9}
    new = {pfn: page for pfn, page in old.items() if chance.random() < 0.97}
    for pfn in chance.sample(sorted(new), chance.choice([0, 1, 20])):
        new[pfn] = chance.choice([ZERO, page_of(chance)[:4096]])
    new |= {pfn: page_of(chance)[:4096] for pfn in chance.sample(range(300, 400), 3)}
    return old, new


@pytest.mark.parametrize("few", [0, 16, 1 << 20])
@pytest.mark.parametrize(("window", "windows"), [(1, 1), (3, 2), (64, 32)])
def test_files_and_what_passes_are_compared_alike(few, window, windows, tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_FEW", few)
    monkeypatch.setattr(contents, "_WINDOW", window)
    monkeypatch.setattr(contents, "_WINDOWS", windows)
    for seed in range(6):
        chance = random.Random(seed)
        old, new = two_moments(chance)
        a, b = sent(old, chance), sent(new, chance)
        one, other = tmp_path / "a", tmp_path / "b"
        one.write_bytes(a)
        other.write_bytes(b)
        changed = [pfn for pfn in sorted(old) if pfn in new and new[pfn] != old[pfn]]
        packed = gzip.compress(a, 1), gzip.compress(b, 1)
        for inputs in ((one, other), (a, b), (one, packed[1]), (packed[0], b), packed):
            found = memory(*inputs)
            assert found.changed.tolist() == changed
            assert found.zeroed.tolist() == [pfn for pfn in changed if new[pfn] == ZERO]
            assert found.appeared.tolist() == sorted(set(new) - set(old))
            assert found.vanished.tolist() == sorted(set(old) - set(new))


@pytest.mark.skipif(not SHM.is_dir(), reason="there is no file system in memory")
def test_what_is_a_hole_of_both_files_is_not_read():
    """A hole of a file in memory that is mapped and read takes memory from then on."""
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        for path in (old, new):
            write_sparse_image(path, 64 << 20)
        with xensave.open(old) as image:
            place = image.memory.index.offset_of(0x1234)
        with new.open("r+b") as file:
            file.seek(place + 5)
            file.write(b"x")
        taken = old.stat().st_blocks + new.stat().st_blocks
        assert memory(old, new).changed.tolist() == [0x1234]
        assert (old.stat().st_blocks + new.stat().st_blocks - taken) * 512 < 2 << 20
