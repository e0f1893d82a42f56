"""Files are whole, private and sparse, and never larger than the image accounts for."""

import os
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.memory.samples import HVM, image, page, record
from xensave import open as open_image
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.context import AbsentRecord
from xensave.dump import FORMATS, DumpFormat, Options, extract
from xensave.dump.parts import write_stream
from xensave.errors import LimitExceeded, SourceError
from xensave.memory.index import last_contents, runs
from xensave.testing import streams
from xensave.testing.sparse import write_sparse_image

VMCOREINFO = b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\nKERNELOFFSET=1000000\n"
XTAB = 0xF
SHM = Path("/dev/shm")


def note(text, name=b"VMCOREINFO\0\0", size=11, type_=0):
    return struct.pack("<III", size, len(text), type_) + name + text


def elf_of(guest, tmp_path, options=None):
    extract(guest, str(tmp_path / "elf"), DumpFormat.ELF, options)
    return (tmp_path / "elf").read_bytes()


@pytest.mark.parametrize("format", DumpFormat)
class TestFiles:
    def test_only_the_owner_may_read(self, format, tmp_path):
        out = tmp_path / "out"
        out.write_bytes(b"before")
        out.chmod(0o644)
        extract(image(record((0, page(1)))), str(out), format)
        assert stat.S_IMODE(out.stat().st_mode) == 0o600

    def test_an_error_leaves_nothing(self, format, tmp_path):
        with open_image(HVM) as guest:
            guest.memory.source.close()
            with pytest.raises((ValueError, OSError)):
                extract(guest, str(tmp_path / "out"), format)
        assert list(tmp_path.iterdir()) == []

    def test_a_pipe_gets_the_same_bytes(self, format, tmp_path):
        out, saved = tmp_path / "out", tmp_path / "saved"
        body = record((0, page(1)), (1, page(2)), (5, page(3))) + streams.hvm_tail("4.17")
        stream = streams.libxc_stream(body, "4.17")
        saved.write_bytes(streams.xl_image(streams.libxl_stream(stream)))
        with open_image(saved) as guest:
            extract(guest, str(out), format)
        command = [sys.executable, "-m", "xensave", "extract", str(saved), "-", "--format", format]
        done = subprocess.run([*command, "-q"], capture_output=True, check=True)
        assert done.stderr == b""
        assert done.stdout == out.read_bytes()

    @pytest.mark.skipif(not SHM.is_dir(), reason="there is no file system in memory")
    def test_holes_of_the_image_stay_holes(self, format):
        """A hole of a file in memory that is mapped and read takes memory from then on."""
        with tempfile.TemporaryDirectory(dir=SHM) as folder:
            saved, out = Path(folder, "saved"), Path(folder, "out")
            write_sparse_image(saved, 64 << 20)
            taken = saved.stat().st_blocks
            with open_image(saved) as guest:
                extract(guest, str(out), format)
            assert saved.stat().st_blocks == taken
            assert out.stat().st_blocks * 512 < 1 << 20

    def test_a_device_is_written_to_and_not_replaced(self, format):
        extract(image(record((0, page(1)))), "/dev/null", format)
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116

    def test_a_folder_that_is_not_there(self, format, tmp_path):
        with pytest.raises(SourceError):
            extract(image(record((0, page(1)))), str(tmp_path / "no" / "out"), format)

    @pytest.mark.parametrize("pfn", [(1 << 52) - 1, 1 << 30])
    def test_a_frame_far_up_makes_no_huge_file(self, format, pfn, tmp_path):
        guest = image(record((0, page(1)), (pfn, page(2))))
        out = tmp_path / "out"
        if format == DumpFormat.RAW:
            with pytest.raises(LimitExceeded, match="lime and elf hold only what is there"):
                extract(guest, str(out), format)
            assert list(tmp_path.iterdir()) == []
        else:
            extract(guest, str(out), format)
            assert out.stat().st_size < 1 << 16


@pytest.mark.parametrize("format", DumpFormat)
def test_memory_without_registers(format, tmp_path):
    stream = streams.libxc_stream(record((0, page(1))), "4.17")
    with open_image(stream) as guest:
        assert guest.vcpu_numbers == ()
        assert extract(guest, str(tmp_path / "out"), format).frames == 1


def test_an_image_without_memory(tmp_path):
    with (
        open_image(HVM.parent / "hvm1.ctx") as guest,
        pytest.raises(AbsentRecord, match="no memory"),
    ):
        extract(guest, str(tmp_path / "out"), DumpFormat.ELF)
    assert list(tmp_path.iterdir()) == []


def test_raw_spans_what_the_image_lists(tmp_path):
    """A guest that gave memory back has contents far up, and lists the frames between."""
    words = np.arange(0x100, 0x300000, dtype=np.uint64) | np.uint64(XTAB << 60)
    records = [
        pack_record(libxc.PAGE_DATA, struct.pack("<II", len(part), 0) + part.tobytes())
        for part in np.split(words, range(1 << 16, len(words), 1 << 16))
    ]
    guest = image(record((0, page(1))), *records, record((0x300000, page(2))))
    extract(guest, str(tmp_path / "out"), DumpFormat.RAW)
    assert (tmp_path / "out").stat().st_size == 0x300001 << 12
    assert (tmp_path / "out").stat().st_blocks < 100


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    """An image of frames in no order, with zeros among them: its path, and pages by frame."""
    pages = {pfn: os.urandom(4096) for pfn in (*range(300), *range(320, 1400))}
    pages |= {pfn: bytes(4096) for pfn in (0, 7, 8, 299, 330, *range(700, 1000), 1399)}
    pages[9] = bytes(4095) + b"x"
    order = sorted(pages, key=lambda pfn: pfn * 7919 % 1409)
    parts = [order[at : at + 64] for at in range(0, len(order), 64)]
    body = b"".join(record(*((pfn, pages[pfn]) for pfn in part)) for part in parts)
    stream = streams.libxc_stream(body + streams.hvm_tail("4.17"), "4.17")
    path = tmp_path_factory.mktemp("scattered") / "img"
    path.write_bytes(streams.xl_image(streams.libxl_stream(stream)))
    return path, pages


@pytest.mark.parametrize("format", DumpFormat)
def test_pages_in_any_order_come_out_in_theirs(scattered, format, tmp_path):
    path, pages = scattered
    with open_image(path) as guest, open_image(path.read_bytes()) as held:
        extract(guest, str(tmp_path / "file"), format)
        extract(held, str(tmp_path / "held"), format)
        with (tmp_path / "piped").open("wb") as out:
            write_stream(out.fileno(), list(FORMATS[format](guest, Options())), guest.memory)
    whole = (tmp_path / "file").read_bytes()
    assert whole == (tmp_path / "piped").read_bytes() == (tmp_path / "held").read_bytes()
    ranges = [range(300), range(320, 1400)]
    if format is DumpFormat.CORE:
        ranges[:1] = [range(0xA0), range(0xC0, 300)]
    assert all(b"".join(pages[pfn] for pfn in each) in whole for each in ranges)
    # 300 pages of zeros in a row take nothing.
    assert (tmp_path / "file").stat().st_blocks * 512 < len(whole) - 290 * 4096


LONE = {pfn: os.urandom(4096) for pfn in (*range(0, 600, 2), *range(601, 640), 700, 900)}
LONE |= {pfn: bytes(4096) for pfn in (0, 64, 66, 610, 900)}


def lime_pages(dump):
    """What a reader of LiME's headers finds: pages by frame."""
    pages, at = {}, 0
    while at < len(dump):
        magic, version, first, last, _ = struct.unpack_from("<IIQQQ", dump, at)
        assert (magic, version) == (0x4C694D45, 1)
        at += 32
        for physical in range(first, last, 4096):
            pages[physical >> 12] = dump[at : at + 4096]
            at += 4096
    return pages


def elf_pages(dump):
    """What PT_LOADs with a physical address hold: pages by frame."""
    (offset,), (count,) = struct.unpack_from("<Q", dump, 32), struct.unpack_from("<H", dump, 56)
    headers = [struct.unpack_from("<IIQQQQ", dump, offset + 56 * n) for n in range(count)]
    return {
        (physical + more) >> 12: dump[at + more : at + more + 4096]
        for type_, _, at, _, physical, size in headers
        if type_ == 1 and physical != (1 << 64) - 1
        for more in range(0, size, 4096)
    }


def core_pages(dump):
    """What the sections .xen_pages and .xen_pfn, the last two of a dump-core, hold."""
    (offset,) = struct.unpack_from("<Q", dump, 40)
    (_, _, pages, size), (_, _, table, length) = (
        struct.unpack_from("<QQQQ", dump, offset + 64 * n + 8) for n in (5, 6)
    )
    assert size >> 12 == length >> 3
    pfns = struct.unpack_from(f"<{length >> 3}Q", dump, table)
    whole = enumerate(pfn for pfn in pfns if pfn != (1 << 64) - 1)
    return {pfn: dump[pages + (n << 12) : pages + (n + 1 << 12)] for n, pfn in whole}


def raw_pages(dump):
    pages = {at >> 12: dump[at : at + 4096] for at in range(0, len(dump), 4096)}
    assert all(not any(data) for pfn, data in pages.items() if pfn not in LONE)
    return {pfn: pages[pfn] for pfn in LONE}


READERS = {"lime": lime_pages, "elf": elf_pages, "core": core_pages, "raw": raw_pages}


@pytest.mark.parametrize("window", [1, 7, 1 << 16])
@pytest.mark.parametrize("format", DumpFormat)
def test_lone_frames_are_in_every_format(format, window, tmp_path, monkeypatch):
    """Frames by twos and one by one, in no order; however many runs are looked at together."""
    for room in (runs, last_contents):
        monkeypatch.setattr(room, "WINDOW", window)
    order = sorted(LONE, key=lambda pfn: pfn * 7919 % 1409)
    entries = [(pfn, LONE[pfn]) for pfn in order]
    body = b"".join(record(*entries[at : at + 50]) for at in range(0, len(entries), 50))
    stream = streams.libxc_stream(body + streams.hvm_tail("4.17"), "4.17")
    (tmp_path / "img").write_bytes(streams.xl_image(streams.libxl_stream(stream)))
    with open_image(tmp_path / "img") as guest:
        done = extract(guest, str(tmp_path / "file"), format)
        parts = list(FORMATS[format](guest, Options()))
        with (tmp_path / "piped").open("wb") as out:
            write_stream(out.fileno(), parts, guest.memory)
    # None for each range: there may be millions.
    assert len(parts) < 10
    dump = (tmp_path / "file").read_bytes()
    assert dump == (tmp_path / "piped").read_bytes()
    hole = range(0xA0, 0xC0) if format is DumpFormat.CORE else ()
    expected = {pfn: data for pfn, data in LONE.items() if pfn not in hole}
    assert READERS[format](dump) == expected
    assert done[:2] == (len(dump), len(expected))


def test_raw_has_pages_sent_twice_once(tmp_path):
    records = [record(*((pfn, page(n)) for pfn in range(4))) for n in range(1, 6)]
    extract(image(*records), str(tmp_path / "out"), DumpFormat.RAW)
    assert (tmp_path / "out").read_bytes() == page(5) * 4


class TestVmcoreinfo:
    def test_a_note_in_memory(self, tmp_path):
        data = note(VMCOREINFO).ljust(4096, b"\0")
        core = elf_of(image(record((0, page(1)), (7, data))), tmp_path)
        assert note(VMCOREINFO).rstrip(b"\0") in core[: 2 * 4096]

    def test_a_note_across_pages(self, tmp_path):
        data = (bytes(4096 - 28) + note(VMCOREINFO)).ljust(8192, b"\0")
        core = elf_of(image(record((6, data[:4096]), (7, data[4096:]))), tmp_path)
        assert note(VMCOREINFO).rstrip(b"\0") in core[: 2 * 4096 - 40]

    @pytest.mark.parametrize(
        "chance",
        [
            b"VMCOREINFO\0\0" + VMCOREINFO,
            note(VMCOREINFO, type_=1),
            note(VMCOREINFO, size=12),
            struct.pack("<III", 11, 1 << 31, 0) + b"VMCOREINFO\0\0" + VMCOREINFO,
            note(b"OSRELEASE=6.1\n\xff\xfe\n"),
        ],
        ids=["bare", "type", "size", "huge", "no text"],
    )
    def test_a_chance_string_is_none(self, chance, tmp_path):
        core = elf_of(image(record((7, chance.ljust(4096, b"\0")))), tmp_path)
        assert b"VMCOREINFO" not in core[:4096]

    def test_a_given_one_comes_first(self, tmp_path):
        data = note(VMCOREINFO).ljust(4096, b"\0")
        options = Options(b"OSRELEASE=given\n")
        core = elf_of(image(record((7, data))), tmp_path, options)
        assert b"OSRELEASE=given" in core[:4096]
        assert VMCOREINFO not in core[:4096]


@pytest.mark.parametrize("format", [DumpFormat.RAW, DumpFormat.LIME, DumpFormat.CORE])
def test_an_image_in_as_many_runs_as_frames_is_gone_through_once(format, tmp_path, monkeypatch):
    from xensave.memory import Memory

    passes = []
    one = Memory.file_runs
    monkeypatch.setattr(Memory, "file_runs", lambda *args: [passes.append(args[1:]), one(*args)][1])
    # Below the VGA hole, which core leaves out.
    frames = range(1, 0xA0, 2)
    guest = image(record(*((pfn, page(pfn)) for pfn in frames)))
    extract(guest, str(tmp_path / "out"), format)
    # Not once a run: one pass is made, and one offered to what maps an image that is no file.
    assert len(passes) <= 2
    whole = (tmp_path / "out").read_bytes()
    assert all(page(pfn) in whole for pfn in frames)
