import io
import os
import subprocess
import threading

import pytest

from xensave.errors import LimitExceeded, SourceError, Truncated
from xensave.source import MemorySource, open_source, read_all

DATA = bytes(range(256)) * 1000


def feed(data):
    """Return the read end of a pipe that a thread fills."""
    readable, writable = os.pipe()

    def write():
        with open(writable, "wb") as file:
            file.write(data)

    threading.Thread(target=write, daemon=True).start()
    return readable


@pytest.fixture(params=["file", "pipe", "bytes", "bytesio", "open file", "gzip"])
def source(request, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    if request.param == "file":
        what = path
    elif request.param == "pipe":
        what = feed(DATA)
    elif request.param == "bytes":
        what = DATA
    elif request.param == "bytesio":
        what = io.BytesIO(DATA)
    elif request.param == "open file":
        what = path.open("rb")
    else:
        what = feed(subprocess.run(["gzip", "-c", path], stdout=subprocess.PIPE, check=True).stdout)
    with open_source(what) as opened:
        yield opened


def test_reads_exactly(source):
    assert bytes(source.peek(4)) == DATA[:4]
    assert bytes(source.read(10)) == DATA[:10]
    source.skip(100_000)
    assert source.offset == 100_010
    assert bytes(source.peek(8)) == DATA[100_010:100_018]
    assert bytes(source.read(100_000)) == DATA[100_010:200_010]
    assert not source.at_end()
    source.skip(len(DATA) - 200_010)
    assert source.at_end()
    assert bytes(source.peek(5)) == b""


def test_short_reads_raise(source):
    source.skip(len(DATA) - 5)
    with pytest.raises(Truncated) as caught:
        source.read(6)
    assert (caught.value.wanted, caught.value.got) == (6, 5)


def test_short_skips_raise(source):
    source.skip(1000)
    with pytest.raises(Truncated) as caught:
        source.skip(len(DATA))
    assert (caught.value.wanted, caught.value.got) == (len(DATA), len(DATA) - 1000)


def test_a_claimed_length_allocates_nothing(source):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises((Truncated, LimitExceeded)):
        source.read(0xFFFFFFFF)
    with pytest.raises(Truncated):
        source.read(127 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("to", ["file", "pipe", "append"])
def test_copies_to(source, to, tmp_path):
    source.read(3)
    source.peek(9)
    out = tmp_path / "out"
    if to == "pipe":
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out.open("wb"))
        source.copy_to(cat.stdin.fileno(), 200_000)
        cat.stdin.close()
        assert cat.wait() == 0
    else:
        # copy_file_range refuses a file that is only appended to.
        flags = os.O_APPEND if to == "append" else 0
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | flags)
        source.copy_to(fd, 200_000)
        os.close(fd)
    assert out.read_bytes() == DATA[3:200_003]
    assert source.offset == 200_003
    assert bytes(source.read(4)) == DATA[200_003:200_007]


def test_copying_past_the_end_raises(source):
    null = os.open(os.devnull, os.O_WRONLY)
    with pytest.raises(Truncated):
        source.copy_to(null, len(DATA) + 1)
    os.close(null)


def test_a_limit_on_size(tmp_path):
    for what in (DATA, feed(DATA)):
        limited = open_source(what, max_size=1000)
        limited.skip(1000)
        with pytest.raises(LimitExceeded):
            limited.skip(1)


def test_only_memory_and_files_are_seekable(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with open_source(path) as source:
        assert source.seekable
        assert source.size == len(DATA)
        assert bytes(source.view(500, 4)) == DATA[500:504]
        with pytest.raises(Truncated):
            source.view(len(DATA) - 1, 2)
        kept = source.read(4)
    assert bytes(kept) == DATA[:4]
    pipe = open_source(feed(DATA))
    assert (pipe.seekable, pipe.size) == (False, None)


def test_standard_input_that_is_a_file_begins_where_it_stands(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        os.lseek(file.fileno(), 77, os.SEEK_SET)
        with open_source(file.fileno()) as source:
            assert source.seekable
            assert bytes(source.read(3)) == DATA[77:80]


def test_a_pipe_that_does_not_block():
    readable = feed(DATA)
    os.set_blocking(readable, False)
    assert read_all(open_source(readable)) == DATA


@pytest.mark.parametrize("make", ["missing", "directory", "empty", "nul", "text", "closed fd"])
def test_what_cannot_be_read_says_so(make, tmp_path):
    path = tmp_path / "it"
    what, why = path, "No such file"
    if make == "directory":
        path.mkdir()
        why = "is a directory"
    elif make == "empty":
        path.write_bytes(b"")
        why = "is empty"
    elif make == "nul":
        what, why = "a\0b", "null"
    elif make == "text":
        what, why = io.StringIO("text"), "not open for reading bytes"
    elif make == "closed fd":
        what, why = 987, "Bad file descriptor"
    with pytest.raises(Truncated if make == "empty" else SourceError, match=why):
        open_source(what)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_no_permission(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        open_source(path)


def test_a_device_of_no_size_is_read():
    assert read_all(open_source("/proc/self/status")).startswith(b"Name:")


def test_read_all_keeps_to_its_limit():
    assert read_all(MemorySource(b"abc")) == b"abc"
    with pytest.raises(LimitExceeded):
        read_all(MemorySource(DATA), 1000)
