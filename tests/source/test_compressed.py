"""Oracle: the compressors' own commands."""

import random
import shutil
import subprocess
import tracemalloc

import pytest

from xensave.errors import LimitExceeded, Malformed, Truncated
from xensave.source import limits, open_source, read_all
from xensave.source.compression import CODECS, recognise
from xensave.source.compression.codecs import zstd

TOOLS = {"zstd": "zstd", "xz": "xz", "gzip": "gzip", "bzip2": "bzip2", "lz4": "lz4"}
DATA = random.Random(5).randbytes(70_000) + bytes(3_000_000) + b"the end"


def compress(kind, data):
    tool = shutil.which(TOOLS[kind])
    if tool is None:
        pytest.skip(f"no {kind}")
    return subprocess.run([tool, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(params=sorted(TOOLS))
def kind(request):
    return request.param


def test_every_codec_has_a_tool():
    assert set(CODECS) == set(TOOLS)


def test_round_trip(kind):
    packed = compress(kind, DATA)
    assert recognise(packed) == kind
    assert read_all(open_source(packed)) == DATA


def test_frames_one_after_another(kind):
    packed = compress(kind, DATA) + compress(kind, b"more")
    assert read_all(open_source(packed)) == DATA + b"more"


def test_skips_and_reads_cross_frames(kind):
    source = open_source(compress(kind, DATA) + compress(kind, b"more"))
    source.skip(len(DATA) - 3)
    assert bytes(source.read(5)) == b"endmo"
    with pytest.raises(Truncated):
        source.read(3)


def test_every_cut_is_truncated(kind):
    packed = compress(kind, DATA)
    for cut in [7, 20, *range(1000, len(packed), 9973), len(packed) - 1]:
        with pytest.raises(Truncated, match="inside a frame") as caught:
            read_all(open_source(packed[:cut]))
        assert caught.value.path == f"{kind} data"


def test_bytes_after_the_last_frame(kind):
    packed = compress(kind, DATA)
    assert read_all(open_source(packed + bytes(4))) == DATA
    with pytest.raises(Malformed, match="follow the last one"):
        read_all(open_source(packed + b"rubbish"))


def test_damage_says_where(kind):
    packed = bytearray(compress(kind, DATA))
    packed[6:64] = bytes(58)
    with pytest.raises((Malformed, Truncated)) as caught:
        read_all(open_source(bytes(packed)))
    assert caught.value.offset is not None
    assert kind in str(caught.value)


def test_a_bomb_is_refused_in_bounded_memory(kind, monkeypatch):
    packed = compress(kind, bytes(40 << 20))
    monkeypatch.setattr("xensave.source.compression.compressed.EXPANSION_FLOOR", 8 << 20)
    monkeypatch.setattr("xensave.source.compression.compressed.EXPANSION_RATIO", 2)
    tracemalloc.start()
    with pytest.raises(LimitExceeded, match="became more than"):
        open_source(packed).skip(40 << 20)
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_a_size_given_stands_in_for_the_ratio(kind, monkeypatch):
    packed = compress(kind, bytes(4 << 20))
    monkeypatch.setattr("xensave.source.compression.compressed.EXPANSION_FLOOR", 1 << 20)
    monkeypatch.setattr("xensave.source.compression.compressed.EXPANSION_RATIO", 2)
    source = open_source(packed, max_size=4 << 20)
    source.skip(4 << 20)
    assert source.at_end()
    with pytest.raises(LimitExceeded, match="larger than the limit"):
        open_source(packed, max_size=(4 << 20) - 1).skip(4 << 20)


def test_zstd_skippable_frames():
    skippable = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = skippable + compress("zstd", b"data") + skippable
    assert read_all(open_source(packed)) == b"data"


def pieces(packed, n, feed):
    """Decompress a frame as the source does; return what each call gave."""
    frame, at, given = zstd(), 0, []
    while not frame.eof:
        data = b""
        if frame.needs_input:
            assert at < len(packed), "asks for more than there is"
            data, at = packed[at : at + feed], at + feed
        given.append(frame.decompress(data, n))
    return given


def test_zstd_gives_no_more_than_asked():
    # 20 MiB of zeros are 160 blocks of a few bytes: all of them come in with the first read.
    packed = compress("zstd", bytes(20 << 20))
    assert len(packed) < 4096
    for n in (1 << 16, 1 << 20):
        given = pieces(packed, n, 1 << 16)
        assert b"".join(given) == bytes(20 << 20)
        assert max(map(len, given)) <= n


@pytest.mark.parametrize("feed", [1, 2, 3, 7, 1000, 1 << 16])
def test_zstd_in_pieces_of_any_size(feed):
    assert b"".join(pieces(compress("zstd", DATA), 1 << 16, feed)) == DATA


def test_zstd_with_too_wide_a_window_is_refused():
    # The header of a frame whose window has 2^31 bytes, and an empty last block.
    frame = bytes.fromhex("28b52ffd 00 a8 010000")
    with pytest.raises(Malformed, match="zstd"):
        read_all(open_source(frame))


def test_zstd_takes_few_calls():
    data = random.Random(6).randbytes(16 << 20)
    calls = pieces(compress("zstd", data), 1 << 20, 1 << 16)
    assert len(calls) <= 2 * (len(data) >> 16)


def test_compression_inside_compression_is_not_undone():
    inner = compress("gzip", DATA)
    assert read_all(open_source(compress("zstd", inner))) == inner


def test_a_window_too_large_is_refused():
    # A zstd frame header that claims a window of 2 GiB (exponent 21, mantissa 0).
    head = b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"
    with pytest.raises(Malformed, match="zstd"):
        read_all(open_source(head))
    assert limits.ZSTD_WINDOW < 2 << 30
