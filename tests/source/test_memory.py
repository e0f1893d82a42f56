"""A mapped file: where it has data, and what is kept of it in memory."""

import os
import re
from pathlib import Path

import pytest

from xensave.source import open_source

BLOCK = 1 << 16


@pytest.fixture
def holes(tmp_path):
    """A file of data, a hole, data, and a hole at its end; 64 KiB each."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"a" * BLOCK)
        file.seek(2 * BLOCK)
        file.write(b"b" * BLOCK)
        file.truncate(4 * BLOCK)
    with open_source(path) as source:
        yield source


@pytest.mark.parametrize(
    ("offset", "n", "expected"),
    [
        (0, 4 * BLOCK, [(0, BLOCK), (2 * BLOCK, BLOCK)]),
        (100, 200, [(100, 200)]),
        (BLOCK + 5, 100, []),
        (BLOCK - 10, BLOCK + 20, [(BLOCK - 10, 10), (2 * BLOCK, 10)]),
        (3 * BLOCK, BLOCK, []),
        (0, 0, []),
    ],
)
def test_data_and_holes_whatever_was_asked_before(holes, offset, n, expected):
    for before in (0, BLOCK, 2 * BLOCK, 3 * BLOCK):
        list(holes.data_runs(before, 10))
        assert list(holes.data_runs(offset, n)) == expected


def test_a_walk_keeps_little_of_a_file_in_memory(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        for _ in range(256):
            file.write(os.urandom(1 << 20))
    with open_source(path) as source:
        before = _mapped_kib()
        for reader in (source, source.again()):
            while not reader.at_end():
                sum(reader.read(1 << 16)[::4096])
            assert _mapped_kib() - before < 96 << 10


def _mapped_kib():
    status = Path("/proc/self/status").read_text()
    return sum(int(kib) for kib in re.findall(r"Rss(?:File|Shmem):\s*(\d+)", status))


@pytest.mark.parametrize("size", [8, 80])
def test_what_is_read_here_and_there_is_not_mapped(size, tmp_path):
    path = tmp_path / "file"
    stride, places = 1 << 20, 1024
    with path.open("wb") as file:
        file.truncate(stride * places)
        for at in range(places):
            file.seek(at * stride)
            file.write(at.to_bytes(2, "little") * 40)
    expected = b"".join((at.to_bytes(2, "little") * 40)[:size] for at in range(places))
    with open_source(path) as source:
        before = _mapped_kib()
        other = source.again()
        for reader in (source, other):
            assert reader.strided(0, stride, size, places) == expected
            assert reader.read_range(stride, 2) == b"\1\0"
        assert _mapped_kib() - before < 8 << 10
    assert other.strided(0, stride, size, places) == expected
    assert other.read_range(stride, 2) == b"\1\0"
    with pytest.raises((OSError, ValueError)):
        source.read_range(stride, 2)


def test_a_file_without_holes_is_not_searched_for_any(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(8 * BLOCK))
    os.sync()
    with open_source(path) as source:
        monkeypatch.setattr(os, "lseek", None)
        assert list(source.data_runs(100, BLOCK)) == [(100, BLOCK)]
