import os
import random
from pathlib import Path

import pytest

from xensave.container import walk
from xensave.container.events import CONTEXT, RECORD, TRAILER
from xensave.container.frames import xl
from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import PageData
from xensave.errors import Malformed, Truncated, Unsupported, UsageError, XensaveError
from xensave.source import MemorySource, open_source, read_all

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
FILES = sorted(
    [*SHARED.glob("images/*.zst"), *SHARED.glob("contexts/*.ctx")]
    or [*ROOT.glob("examples/*.zst"), *ROOT.glob("examples/*.ctx")]
)

PAGE = pack_record(libxc.PAGE_DATA, PageData((5,)).to_bytes() + b"p" * 4096)


def libxc_stream(*records, version=3, domain=libxc.HVM, end=True):
    static = [pack_record(libxc.STATIC_DATA_END)] if version == 3 else []
    head = [libxc.ImageHeader(version).to_bytes(), libxc.DomainHeader(domain).to_bytes()]
    return b"".join([*head, *static, *records, *([pack_record(libxc.END)] if end else [])])


def libxl_stream(stream, *after):
    context = pack_record(libxl.LIBXC_CONTEXT)
    end = pack_record(libxl.END)
    return b"".join([libxl.LibxlHeader().to_bytes(), context, stream, *after, end])


def labels(data):
    return [event.label for event in walk(MemorySource(data))]


@pytest.fixture(params=FILES, ids=lambda path: path.name, scope="module")
def image(request):
    return read_all(open_source(request.param))


def test_parse_and_write_gives_the_same_bytes(image):
    assert b"".join(event.to_bytes() for event in walk(MemorySource(image))) == image


def test_a_pipe_gives_the_same_bytes(image, tmp_path):
    (tmp_path / "in").write_bytes(image)
    out = tmp_path / "out"
    with open(out, "wb") as file, os.popen(f"cat {tmp_path}/in", "r") as cat:
        for event in walk(open_source(cat.fileno())):
            if event.type % 3 == 0:
                event.prefix(11)
            event.copy_to(file.fileno())
    assert out.read_bytes() == image


def test_headers_written_again_from_their_fields(image):
    for event in walk(MemorySource(image)):
        if event.header is not None:
            assert event.header.to_bytes() == bytes(event.raw)


def complaint(image, cut):
    """Walk what is left of an image; return the error."""
    with pytest.raises(XensaveError) as caught:
        for _ in walk(MemorySource(memoryview(image)[:cut])):
            pass
    return caught.value


def test_every_cut_is_an_error(image):
    events = list(walk(MemorySource(image)))
    if events[0].kind == CONTEXT:
        pytest.skip("the framing of a context is checked by its own reader")
    edges = [at for event in events[1:] for at in (event.offset, event.body_offset)]
    assert edges.pop() == len(image)
    for cut in edges:
        error = complaint(image, cut)
        assert isinstance(error, Truncated)
        assert error.record
        assert error.offset <= cut
    chance = random.Random(1)
    for cut in (chance.randrange(1, len(image)) for _ in range(1000)):
        error = complaint(image, cut)
        assert isinstance(error, (Truncated, Malformed if cut < len(xl.MAGIC) else Truncated))


def test_a_cut_at_an_edge_is_no_complete_stream():
    whole = libxl_stream(libxc_stream(PAGE))
    with pytest.raises(Truncated, match="without an END record") as caught:
        labels(whole[:-8])
    assert (caught.value.offset, caught.value.record) == (len(whole) - 8, "libxl record header")


def test_layers_nest_and_return():
    optional = xl.OptionalData(b"{}\0").to_bytes()
    head = xl.XlHeader(optional_length=len(optional)).to_bytes()
    emulator = pack_record(libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, 0).to_bytes() + b"QEVM")
    assert labels(head + optional + libxl_stream(libxc_stream(PAGE), emulator)) == [
        "xl header",
        "libxl header",
        "libxl LIBXC_CONTEXT",
        "libxc image header",
        "libxc domain header",
        "libxc STATIC_DATA_END",
        "libxc PAGE_DATA",
        "libxc END",
        "libxl EMULATOR_CONTEXT",
        "libxl END",
    ]


def test_checkpoints_hand_over_and_back():
    checkpoint = pack_record(libxc.CHECKPOINT)
    emulator = pack_record(libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, 0).to_bytes())
    end = pack_record(libxl.CHECKPOINT_END)
    stream = libxc_stream(PAGE, checkpoint, emulator, end, PAGE, checkpoint, end)
    assert labels(libxl_stream(stream))[5:] == [
        "libxc PAGE_DATA",
        "libxc CHECKPOINT",
        "libxl EMULATOR_CONTEXT",
        "libxl CHECKPOINT_END",
        "libxc PAGE_DATA",
        "libxc CHECKPOINT",
        "libxl CHECKPOINT_END",
        "libxc END",
        "libxl END",
    ]


def test_colo_control_records_follow_a_checkpoint():
    handed = [pack_record(libxc.CHECKPOINT), pack_record(libxl.CHECKPOINT_END)]
    control = pack_record(libxl.CHECKPOINT_STATE, (0).to_bytes(4, "little"))
    assert labels(libxl_stream(libxc_stream(*handed, control, PAGE)))[-4:] == [
        "libxl CHECKPOINT_STATE",
        "libxc PAGE_DATA",
        "libxc END",
        "libxl END",
    ]


def test_an_empty_extended_record_of_a_pv_guest_is_no_control_record():
    handed = [pack_record(libxc.CHECKPOINT), pack_record(libxl.CHECKPOINT_END)]
    extended = pack_record(libxc.X86_PV_VCPU_EXTENDED, bytes(8))
    stream = libxc_stream(*handed, extended, domain=libxc.PV)
    assert "libxc X86_PV_VCPU_EXTENDED" in labels(libxl_stream(stream))


def test_a_bare_libxc_stream_keeps_its_checkpoints():
    assert labels(libxc_stream(pack_record(libxc.CHECKPOINT), PAGE))[-3:] == [
        "libxc CHECKPOINT",
        "libxc PAGE_DATA",
        "libxc END",
    ]


def test_what_is_not_known_is_kept():
    unknown = [pack_record(0x80000007, b"opt", b"\1\2\3\4\5"), pack_record(0x77, b"12345678")]
    data = libxl_stream(libxc_stream(*unknown), pack_record(0x99, b"x")) + b"after the end"
    events = list(walk(MemorySource(data)))
    assert b"".join(event.to_bytes() for event in events) == data
    assert [event.name for event in events if event.kind == RECORD and event.type > 0x12] == [
        "optional record 0x80000007",
        "mandatory record 0x77",
        "mandatory record 0x99",
    ]
    assert events[-1].kind == TRAILER
    assert bytes(events[-1].body()) == b"after the end"


def test_bodies_of_a_pipe_are_read_in_parts_or_not_at_all(tmp_path):
    data = libxc_stream(PAGE, pack_record(libxc.TOOLSTACK, b"abc" * 9, b"12345"))
    (tmp_path / "image").write_bytes(data)
    with os.popen(f"cat {tmp_path}/image", "r") as cat:
        events = walk(open_source(cat.fileno()))
        event = next(event for event in events if event.name == "PAGE_DATA")
        assert bytes(event.prefix(16)) == PageData((5,)).to_bytes()
        assert bytes(event.prefix(8)) == PageData((5,)).to_bytes()[:8]
        assert bytes(event.body()[16:]) == b"p" * 4096
        tool = next(events)
        assert tool.padding() == b"12345"
        with pytest.raises(UsageError, match="passed over"):
            tool.body()
        assert next(events).name == "END"
        with pytest.raises(UsageError):
            event.copy_to(1)


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"libvirt-xml\n \0 \r\3" + bytes(60), Unsupported, "version 3"),
        (b"XenSavedDomain\n" + bytes(40), Malformed, "no legacy stream"),
        (b"LinuxGuestRecord" + bytes(40), Malformed, "no legacy stream"),
        (b"QEVM" + bytes(40), Unsupported, "device model"),
        ((0x10000).to_bytes(8, "little") + b"\xfb" + b"\xff" * 43, Unsupported, "tmem"),
        (b"\xff" * 8 + b"XENF\0\0\0\4" + bytes(24), Unsupported, "version 4"),
        (b"\xff" * 8 + b"XENF\0\0\0\3\0\1" + bytes(24), Unsupported, "big-endian"),
        (b"LibxlFmt\0\0\0\2\0\0\0\1", Unsupported, "big-endian"),
        (b"LibxlFmt\0\0\0\3\0\0\0\0", Unsupported, "version 3"),
        (xl.MAGIC + bytes([1, 2, 3, 4]) + bytes(12), Unsupported, "big-endian"),
        (xl.XlHeader(mandatory_flags=1).to_bytes() + bytes(40), Malformed, "no legacy stream"),
        (b"something else entirely", Malformed, "no Xen save image"),
        (b"x", Malformed, "no Xen save image"),
    ],
)
def test_what_is_not_read_is_named(data, error, why):
    with pytest.raises(error, match=why):
        labels(data)


def test_a_format_given_is_insisted_on():
    with pytest.raises(Malformed) as caught:
        list(walk(MemorySource(libxc_stream()), "libxl"))
    assert (caught.value.offset, caught.value.record) == (0, "libxl header")


def test_a_length_that_is_only_claimed():
    data = libxc_stream(HEADER.pack(libxc.HVM_CONTEXT, 0xFFFFFFFF), end=False)
    with pytest.raises(Truncated) as caught:
        labels(data)
    assert caught.value.record == "libxc HVM_CONTEXT"
    assert caught.value.offset == len(data) - 8
    assert (caught.value.wanted, caught.value.got) == (0x100000000, 0)
