"""The image and the `xl dump-core` of one paused guest hold the same; so do our dumps of it."""

import io
import struct

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tests.memory import samples
from xensave.dump import Format, extract

CORE = "memory/xen417-pvh1.core.zst"
INVALID = (1 << 64) - 1

# Of a running Xen that no image holds: build, compiler, capabilities and change set in its note,
# and the assists that the guest asked for, in its context.
VERSION_NOTE_FROM, VERSION_NOTE_TO = 96, 96 + 16 + 144 + 1024 + 64
RAX, VM_ASSIST = 600, 5136


def pages_of(core):
    """The contents of a dump-core file by frame number."""
    pfns = np.frombuffer(core.get_section_by_name(".xen_pfn").data(), "<u8").tolist()
    pages = core.get_section_by_name(".xen_pages").data()
    return {
        pfn: pages[at * 4096 : at * 4096 + 4096] for at, pfn in enumerate(pfns) if pfn != INVALID
    }


@pytest.fixture(scope="module")
def xen():
    return ELFFile(io.BytesIO(samples.shared_bytes(CORE)))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    path = tmp_path_factory.mktemp("core") / "core"
    with samples.shared_image(samples.PAIR) as image:
        extract(image, str(path), Format.CORE)
    return ELFFile(io.BytesIO(path.read_bytes()))


def test_memory_is_that_of_dump_core(xen):
    memory = samples.shared_image(samples.PAIR).memory
    theirs = pages_of(xen)
    shared = theirs.keys() & set(memory.index.pfns.tolist())
    assert len(shared) == 8095
    assert all(memory.page(pfn) == theirs[pfn] for pfn in shared)
    # Where the guest mapped its shared info page and its grant table: the image has no contents.
    assert theirs.keys() - shared == {0x10, 0x1D3}
    assert {memory.index.type_of(pfn) for pfn in (0x10, 0x1D3)} == {0xF}


def test_sections_are_those_of_dump_core(xen, ours):
    assert ours.header == xen.header
    assert [each.name for each in ours.iter_sections()] == [
        each.name for each in xen.iter_sections()
    ]
    for mine, theirs in zip(ours.iter_sections(), xen.iter_sections(), strict=True):
        assert mine.header == theirs.header, mine.name


def test_notes_are_those_of_dump_core_but_for_the_build(xen, ours):
    mine, theirs = (each.get_section_by_name(".note.Xen").data() for each in (ours, xen))
    assert mine[:VERSION_NOTE_FROM] == theirs[:VERSION_NOTE_FROM]
    assert not any(mine[VERSION_NOTE_FROM:VERSION_NOTE_TO])
    assert mine[VERSION_NOTE_TO:] == theirs[VERSION_NOTE_TO:]


def test_registers_are_those_of_dump_core_but_rax(xen, ours):
    mine, theirs = (bytearray(e.get_section_by_name(".xen_prstatus").data()) for e in (ours, xen))
    # The resume that came between gave the guest a return value.
    assert (mine[RAX], theirs[RAX]) == (0, 1)
    theirs[RAX] = 0
    theirs[VM_ASSIST : VM_ASSIST + 8] = bytes(8)
    assert mine == theirs


def test_pages_are_those_of_dump_core(xen, ours):
    mine, theirs = pages_of(ours), pages_of(xen)
    assert theirs.keys() - mine.keys() == {0x10, 0x1D3}
    assert mine == {pfn: theirs[pfn] for pfn in mine}


class TestOurOtherFormats:
    @pytest.fixture(scope="class")
    @staticmethod
    def out(tmp_path_factory):
        folder = tmp_path_factory.mktemp("out")
        with samples.shared_image(samples.PAIR) as image:
            for format in (Format.RAW, Format.LIME, Format.ELF):
                extract(image, str(folder / format), format)
        return folder

    def test_raw_is_memory_at_its_address(self, xen, out):
        with (out / "raw").open("rb") as file:
            for pfn, page in pages_of(xen).items():
                if pfn not in (0x10, 0x1D3):
                    file.seek(pfn << 12)
                    assert file.read(4096) == page
        assert (out / "raw").stat().st_blocks * 512 < 40 << 20

    def test_lime_is_ranges(self, xen, out):
        data = (out / "lime").read_bytes()
        theirs = pages_of(xen)
        at, last, found = 0, -1, set()
        while at < len(data):
            magic, version, first, end, reserved = struct.unpack_from("<IIQQQ", data, at)
            assert (magic, version, reserved) == (0x4C694D45, 1, 0)
            assert first > last
            at += 32
            for physical in range(first, end, 4096):
                if physical >> 12 in theirs:
                    assert data[at : at + 4096] == theirs[physical >> 12]
                    found.add(physical >> 12)
                at += 4096
            last = end
        assert len(found) == 8095

    def test_elf_is_segments(self, xen, out):
        core = ELFFile(io.BytesIO((out / "elf").read_bytes()))
        theirs = pages_of(xen)
        segments = list(core.iter_segments())
        assert segments[0]["p_type"] == "PT_NOTE"
        assert core["e_shnum"] == 0
        assert all(each["p_filesz"] == each["p_memsz"] for each in segments)
        assert all(each["p_align"] == 0 for each in segments)
        found = 0
        for each in segments[1:]:
            if each["p_paddr"] == INVALID:
                continue
            assert each["p_vaddr"] == 0xFFFF888000000000 + each["p_paddr"]
            data = each.data()
            for at in range(0, len(data), 4096):
                pfn = each["p_paddr"] + at >> 12
                if pfn in theirs:
                    assert data[at : at + 4096] == theirs[pfn]
                    found += 1
        assert found == 8095
