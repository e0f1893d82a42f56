"""Oracle: what Xen's convert-legacy-stream made of the same streams, byte for byte."""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from tests.container.damage import Pipe, hurt
from xensave import catalogue
from xensave.cli import main
from xensave.container import walk
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.streams.legacy import LEGACY_FORMAT
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy.toolstack import xenstore_data
from xensave.container.streams.libxc_records import PageData
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported, XensaveError
from xensave.rules.stream import verify
from xensave.source import MemorySource, open_source
from xensave.source.stream import StreamSource
from xensave.testing import legacy as make
from xensave.testing.streams import xl_image

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/legacy"
SHARED = ROOT.parent / "shared/data/legacy"
EDGES = json.loads((DATA / "edges.json").read_text())
# What Xen's converter gives up on, and what a better reader reads.
READ = {"hvm-id-13-32", "hvm-qemu-xend-64", "hvm-qemu-remus-32", "pv-no-signature-32-on-64"}


def unpacked(path):
    raw = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(path.read_bytes())
    with tarfile.open(fileobj=raw, mode="r|") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


STREAMS = unpacked(DATA / "edges.tar.zst")


def converted(data, tmp_path, *words):
    (tmp_path / "in").write_bytes(data)
    out = tmp_path / "out"
    out.unlink(missing_ok=True)
    code = main(
        ["convert-legacy-stream", "-i", str(tmp_path / "in"), "-o", str(out), *map(str, words)]
    )
    return code, out.read_bytes() if out.exists() else None


@pytest.mark.parametrize("form", ["libxc", "libxl"])
@pytest.mark.parametrize("name", EDGES)
def test_edges_become_what_xen_makes_of_them(name, form, tmp_path, capsys):
    case = EDGES[name]
    wanted = case[form]
    code, out = converted(
        STREAMS[name], tmp_path, "-w", case["width"], "-g", case["guest_type"], "-f", form
    )
    error = capsys.readouterr().err
    if wanted["rc"] == 0:
        assert (code, hashlib.sha256(out).hexdigest()) == (0, wanted["sha256"])
    elif name in READ:
        assert code == 0
    else:
        assert code == 1
        assert out is None
        assert error.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in EDGES if EDGES[name]["libxl"]["rc"] == 0])
def test_a_pipe_gives_the_same(name):
    case = EDGES[name]
    header = (case["width"] // 8, case["guest_type"] == "pv")
    outputs = []
    for what in (STREAMS[name], Pipe(STREAMS[name])):
        source = open_source(what)
        events = LEGACY_FORMAT.walk(source, LEGACY_FORMAT.header(source, *header))
        outputs.append(b"".join(event.to_bytes() for event in events if event.layer != "legacy"))
    assert outputs[0] == outputs[1]
    assert hashlib.sha256(outputs[0]).hexdigest() == case["libxl"]["sha256"]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the larger streams")
@pytest.mark.parametrize("form", ["libxc", "libxl"])
def test_whole_guests_become_what_xen_makes_of_them(form, tmp_path):
    raw = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    hvm = raw.stream_reader((SHARED / "hvm1.legacy.zst").read_bytes()).read()
    wanted = raw.stream_reader((SHARED / f"hvm1.{form}.zst").read_bytes()).read()
    assert converted(hvm, tmp_path, "-f", form) == (0, wanted)
    pv = unpacked(SHARED / "pv1.tar.zst")
    assert converted(pv["pv1/legacy"], tmp_path, "-f", form) == (0, pv[f"pv1/v3.{form}"])


def test_the_words_that_libxl_passes(tmp_path):
    """libxl_convert_callout.c runs $LIBXL_CONVERT_HELPER with these, descriptors and all."""
    name = "hvm-base-64"
    code = "import sys; from xensave.cli.change.convert_legacy_stream import main; sys.exit(main())"
    read, write = os.pipe()
    words = ["--in", str(read), "--out", "1", "--width", "64", "--guest", "hvm"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, "--format", "libxl"],
        pass_fds=[read],
        stdout=subprocess.PIPE,
        env=os.environ,
    ) as process:
        os.close(read)
        with open(write, "wb") as pipe:
            pipe.write(STREAMS[name])
        out = process.stdout.read()
    assert process.returncode == 0
    assert hashlib.sha256(out).hexdigest() == EDGES[name]["libxl"]["sha256"]


def test_an_xl_header_is_passed_on_with_the_flag(tmp_path):
    image = xl_image(make.hvm_stream(), b"name = 'guest'\n\0")
    image = image[:36] + bytes(4) + image[40:]
    code, out = converted(image, tmp_path, "-x", "-f", "libxl")
    assert code == 0
    assert out[36:40] == b"\2\0\0\0"
    assert [event.label for event in walk(MemorySource(out))][:2] == ["xl header", "libxl header"]
    assert list(verify(MemorySource(out))) == []
    code, out = converted(image, tmp_path, "-x")
    assert out[36:40] == bytes(4)


@pytest.mark.parametrize("width", [4, 8])
def test_without_width_or_type_the_first_words_tell(width, tmp_path):
    for stream in (make.hvm_stream(width), make.pv_stream(width, width)):
        code, out = converted(stream, tmp_path, "-f", "libxl")
        assert code == 0
        assert list(verify(MemorySource(out))) == []


def test_skipping_the_device_model(tmp_path):
    stream = make.hvm_stream(tail=make.hvm_tail(device_model=b""))
    code, out = converted(stream, tmp_path, "--skip-qemu")
    assert (code, out[-8:]) == (0, bytes(8))
    assert converted(stream, tmp_path)[0] == 1


# Compressed batches of Remus.


def memory(events):
    found = {}
    for event in events:
        if event.is_record(LIBXC, libxc.PAGE_DATA):
            front = PageData.parse(event.body())
            pages = bytes(event.body()[front.size :])
            for number, pfn in enumerate(front.pfns):
                found[pfn] = pages[number * 4096 : (number + 1) * 4096]
    return found


def changed(page, chance):
    new = bytearray(page)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(1024) * 4
        run = chance.randrange(1, 200) * 4
        new[at : at + run] = chance.randbytes(len(new[at : at + run]))
    return bytes(new)


def remus(width, rounds, chance, *, last=False, one_body=False):
    """Return a stream as Remus writes it, and the memory after each round."""
    state = {pfn: make.page(pfn) for pfn in range(8)}
    states = [dict(state)]
    data = make.ulongs([64], width) + make.TSC + make.pages(range(8), width) + make.vcpu_info()
    data += make.ENABLE_COMPRESSION
    model = b"RemusDeviceModelState" + bytes([8, 0, 0, 0]) + b"QEVM\0\0\0\3"
    if not one_body:
        data += make.END + make.hvm_tail(device_model=model)
    for number in range(rounds):
        now = {pfn: changed(state[pfn], chance) for pfn in chance.sample(range(8), 5)}
        now |= {20 + number: chance.randbytes(4096)}
        data += make.compressed(now, state, width, chunks=1 + number)
        state |= now
        states.append(dict(state))
        end = make.LAST if last and number == rounds - 1 else b""
        if not one_body or number == rounds - 1:
            data += end + make.END + make.hvm_tail(device_model=model)
    return data, states


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("one_body", [False, True])
def test_compressed_batches_become_the_pages_that_they_change(width, pipe, one_body):
    data, states = remus(width, 4, random.Random(width), last=True, one_body=one_body)
    source = open_source(Pipe(data) if pipe else data)
    events = list(stream_bytes(walk(source)))
    out = MemorySource(b"".join(events))
    assert memory(walk(out)) == states[-1]
    assert list(verify(MemorySource(b"".join(events)))) == []


def stream_bytes(events):
    for event in events:
        if event.layer != "legacy":
            yield event.to_bytes()


def test_a_checkpoint_that_is_cut_does_not_count():
    data, states = remus(8, 3, random.Random(3))
    whole = [len(remus(8, rounds, random.Random(3))[0]) for rounds in range(4)]
    for cut in random.Random(4).sample(range(whole[0], whole[-1] + 1), 60) + whole:
        complete = max(rounds for rounds in range(4) if whole[rounds] <= cut)
        out = b"".join(stream_bytes(walk(MemorySource(data[:cut]))))
        assert memory(walk(MemorySource(out))) == states[complete]
    with pytest.raises(Truncated):
        list(walk(MemorySource(data[: whole[0] - 1])))


def test_differences_that_lie_are_refused():
    head = make.ulongs([64], 8) + make.TSC + make.pages(range(8)) + make.ENABLE_COMPRESSION
    for packed, why in (
        (b"\x81" * 3, "did not come"),
        (b"\x7f" + bytes(508) + b"\x80", "no words"),
        (b"\xff" * 9, "leaves its page"),
        (b"\0\0", "follow the last page"),
    ):
        chunk = (-12).to_bytes(4, "little", signed=True) + make.ulongs([len(packed)], 8) + packed
        data = head + make.batch([3], b"") + chunk + make.END + make.hvm_tail()
        with pytest.raises(Malformed, match=why):
            list(walk(MemorySource(data)))


# Hostile input.


@pytest.mark.parametrize(
    "stream",
    [make.hvm_stream(4), make.pv_stream(8, 4), remus(8, 2, random.Random(1))[0]],
    ids=["hvm", "pv", "remus"],
)
def test_every_cut_and_mutation_ends_in_one_clear_error(stream):
    for data in hurt(stream, 9, head=200, share=0.3):
        for stored in (False, True):
            try:
                for event in walk(MemorySource(data), "legacy", stored=stored):
                    event.prefix(16)
            except XensaveError as error:
                assert str(error)


def test_lengths_that_are_only_claimed_take_no_memory():
    head = make.ulongs([1 << 27, (1 << 64) - 1], 8)
    frames = make.pv_front(p2m_size=64)
    frames = (1 << 28).to_bytes(8, "little") + frames[8 : len(frames) - 8]
    long = [
        head + b"\xff\xff\xff\x7fvcpu" + bytes(64),
        frames + bytes(100),
        make.ulongs([64], 8) + make.END + bytes(24) + b"\xff\xff\xff\x7f" + bytes(50),
        make.ulongs([64], 8) + (-18).to_bytes(4, "little", signed=True) + b"\xff\xff\xff\x07xx",
    ]
    for data in long:
        tracemalloc.start()
        with pytest.raises(XensaveError):
            list(walk(open_source(Pipe(data)), "legacy"))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("pipe", [False, True])
def test_a_plain_batch_behind_a_compressed_one_counts(pipe):
    """What came last of a page is what the next difference refers to."""
    first, second = bytes([0xE0]) * 4096, bytes([0xE1]) * 4096
    third = second[:-4] + b"last"
    data = make.ulongs([64], 8) + make.TSC + make.ENABLE_COMPRESSION
    data += make.compressed({3: first}, {}) + make.batch([3], second)
    data += make.compressed({3: third}, {3: second}) + make.END + make.hvm_tail()
    source = StreamSource(io.BytesIO(data).read, "<pipe>") if pipe else MemorySource(data)
    assert memory(LEGACY_FORMAT.walk(source)) == {3: third}


def test_keys_of_a_toolstack_are_no_more_than_a_stream_may_have():
    """Each entry of 29 bytes becomes six words: a chunk of 128 MiB took gigabytes."""
    xenstore_data(make.toolstack([b"a\0"] * 1000)[8:], 8)
    with pytest.raises(LimitExceeded, match="keys of more than 1048576 bytes"):
        xenstore_data(make.toolstack([b"a\0"] * 20_000)[8:], 8)


def test_tmem_is_named():
    data = make.hvm_stream(extra=(c.TMEM).to_bytes(4, "little", signed=True))
    with pytest.raises(Unsupported, match="tmem"):
        list(walk(MemorySource(data)))


def test_the_params_of_chunks_are_those_of_the_header():
    params = catalogue.space("hvm-param")
    for chunk, index in c.PARAMS.items():
        assert params.name_of(index) == c.RECORDS[chunk]
    assert [params.name_of(index) for index in c.MAGIC_PARAMS] == [
        "IOREQ_PFN", "BUFIOREQ_PFN", "STORE_PFN",
    ]  # fmt: skip
