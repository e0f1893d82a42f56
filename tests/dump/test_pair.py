"""The image and the `xl dump-core` of one paused guest hold the same; so do our dumps of it.

Of four guests: a PVH guest of the shared folder, whole, and a PV, a PVH and an HVM guest, the last
two with KASLR, of which tests/data/memory has the page tables (its README says how it was made).
"""

import io
import struct
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tests.memory import samples
from tests.memory.blank import pfns_of
from xensave.dump import DumpFormat, extract
from xensave.dump.elf import ALIASES_LIMIT
from xensave.dump.kernel_map import kernel_map

INVALID = (1 << 64) - 1
PRESENT, FRAME = 1 << 0, (1 << 40) - 1 << 12
XTAB = 0xF

# Of a running Xen that no image holds: build, compiler, capabilities and change set in its note,
# and the assists that an HVM or PVH guest asked for, in its context.
VERSION_NOTE_FROM, VERSION_NOTE_TO = 96, 96 + 16 + 144 + 1024 + 64
CONTEXT_SIZE, VM_ASSIST = 5168, 5136
RAX, RDX, GDT_FRAMES, ROOT_TABLES = 600, 616, range(4832, 4960, 8), (4992, 5008)

# The slots of a root table that are Xen's own (ROOT_PAGETABLE_FIRST_XEN_SLOT and _LAST_).
XEN_SLOTS = slice(256, 272)


class Pair(NamedTuple):
    """An image, the core of the same guest, and how many frames only one has."""

    image: str
    core: str
    shared: int
    only_image: int
    only_core: frozenset[int] = frozenset()


PAIR = Pair(samples.PAIR, "memory/xen417-pvh1.core.zst", 8095, 49, frozenset({0x10, 0x1D3}))
PAIRS = {
    "pvh": PAIR,
    "pv": Pair("pv.img.zst", "pv.core.zst", 16384, 0),
    "pvh-kaslr": Pair("pvh-kaslr.img.zst", "pvh-kaslr.core.zst", 40927, 49, frozenset({0x10})),
    "hvm-kaslr": Pair("hvm-kaslr.img.zst", "hvm-kaslr.core.zst", 36831, 28, frozenset({0x10})),
}


def pages_of(core):
    """The contents of a dump-core file by frame number."""
    pages = core.get_section_by_name(".xen_pages").data()
    return {
        pfn: pages[at * 4096 : at * 4096 + 4096]
        for at, pfn in enumerate(pfns_of(core).tolist())
        if pfn != INVALID
    }


class Guest:
    """One pair: `xen` is its core, `ours` the one that we make of its image."""

    def __init__(self, pair, folder):
        self.pair = pair
        self.image = samples.pair_image(pair.image)
        self.pv = self.image.type == "pv"
        self.xen = ELFFile(io.BytesIO(samples.pair_bytes(pair.core)))
        extract(self.image, str(folder / "core"), DumpFormat.CORE)
        self.ours = ELFFile(io.BytesIO((folder / "core").read_bytes()))
        self.frames = {}
        if self.pv:
            table = np.frombuffer(self.xen.get_section_by_name(".xen_p2m").data(), "<u8")
            self.frames = dict(zip(table[1::2].tolist(), table[::2].tolist(), strict=True))

    def as_saved(self, pfn, page):
        """A page of the core as a save writes it: a PV guest's tables by its own frame numbers."""
        level = self.image.memory.index.type_of(pfn) & 7
        if not self.pv or not level:
            return page
        entries = np.frombuffer(page, "<u8").copy()
        if level == 4:
            entries[XEN_SLOTS] = 0
        for at in np.flatnonzero(entries & PRESENT).tolist():
            entry = int(entries[at])
            entries[at] = entry & ~FRAME | self.frames[(entry & FRAME) >> 12] << 12
        return entries.tobytes()


@pytest.fixture(scope="module", params=PAIRS)
def guest(request, tmp_path_factory):
    return Guest(PAIRS[request.param], tmp_path_factory.mktemp("core"))


def test_memory_is_that_of_dump_core(guest):
    memory = guest.image.memory
    theirs = pages_of(guest.xen)
    frames = set(memory.index.pfns.tolist())
    shared = theirs.keys() & frames
    assert (len(shared), len(frames - shared)) == (guest.pair.shared, guest.pair.only_image)
    assert all(memory.page(pfn) == guest.as_saved(pfn, theirs[pfn]) for pfn in shared)
    # Where a PVH guest mapped its shared info page and its grant table: no contents in the image.
    assert theirs.keys() - shared == guest.pair.only_core
    assert all(memory.index.type_of(pfn) == XTAB for pfn in guest.pair.only_core)


def test_sections_are_those_of_dump_core(guest):
    assert guest.ours.header == guest.xen.header
    ours, xen = (list(each.iter_sections()) for each in (guest.ours, guest.xen))
    assert [each.name for each in ours] == [each.name for each in xen]
    for mine, theirs in zip(ours, xen, strict=True):
        assert mine.header == theirs.header, mine.name


def section(guest, name):
    """A section of our core, and of Xen's."""
    return (bytearray(e.get_section_by_name(name).data()) for e in (guest.ours, guest.xen))


def test_notes_are_those_of_dump_core_but_for_the_build(guest):
    mine, theirs = section(guest, ".note.Xen")
    assert mine[:VERSION_NOTE_FROM] == theirs[:VERSION_NOTE_FROM]
    assert not any(mine[VERSION_NOTE_FROM:VERSION_NOTE_TO])
    assert mine[VERSION_NOTE_TO:] == theirs[VERSION_NOTE_TO:]


def test_registers_are_those_of_dump_core_but_rax(guest):
    mine, theirs = section(guest, ".xen_prstatus")
    # The resume that came between gave the guest a return value.
    assert (mine[RAX], theirs[RAX]) == (0, 1)
    theirs[RAX] = 0
    if guest.pv:
        names_frames(theirs, guest.frames)
    else:
        for vcpu in range(0, len(theirs), CONTEXT_SIZE):
            theirs[vcpu + VM_ASSIST : vcpu + VM_ASSIST + 8] = bytes(8)
    assert mine == theirs


def names_frames(contexts, frames):
    """Name the guest's own frames where contexts name machine frames."""

    def put(at, shift):
        (value,) = struct.unpack_from("<Q", contexts, at)
        if value:
            struct.pack_into("<Q", contexts, at, frames[value >> shift] << shift)

    # The start info, which the guest names when it suspends.
    put(RDX, 0)
    for vcpu in range(0, len(contexts), CONTEXT_SIZE):
        for at in GDT_FRAMES:
            put(vcpu + at, 0)
        for at in ROOT_TABLES:
            put(vcpu + at, 12)


def test_the_shared_info_page_is_that_of_a_pv_guest(guest):
    mine, theirs = section(guest, ".xen_shared_info")
    assert any(theirs)
    assert mine == (theirs if guest.pv else bytes(4096))


def test_pages_are_those_of_dump_core(guest):
    mine, theirs = pages_of(guest.ours), pages_of(guest.xen)
    assert theirs.keys() - mine.keys() == guest.pair.only_core
    assert mine == {pfn: guest.as_saved(pfn, theirs[pfn]) for pfn in mine}


def test_frames_of_a_pv_guest_are_their_own_machine_frames(guest):
    if not guest.pv:
        assert guest.ours.get_section_by_name(".xen_p2m") is None
        return
    mine = np.frombuffer(guest.ours.get_section_by_name(".xen_p2m").data(), "<u8")
    assert np.array_equal(mine[::2], pfns_of(guest.xen))
    assert np.array_equal(mine[::2], mine[1::2])


class TestOurOtherFormats:
    @pytest.fixture(scope="class")
    @staticmethod
    def xen():
        return ELFFile(io.BytesIO(samples.pair_bytes(PAIR.core)))

    @pytest.fixture(scope="class")
    @staticmethod
    def out(tmp_path_factory):
        folder = tmp_path_factory.mktemp("out")
        with samples.shared_image(samples.PAIR) as image:
            for format in (DumpFormat.RAW, DumpFormat.LIME, DumpFormat.ELF):
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


def test_elf_has_few_segments_of_a_frame_that_is_mapped_many_times(tmp_path):
    """A PV Linux guest maps one page 480 times: what its list of machine frames lacks."""
    with samples.pair_image("pv.img.zst") as image:
        others = kernel_map(image).others
        filler, times = Counter(run.physical for run in others).most_common(1)[0]
        assert times == 480
        extract(image, str(tmp_path / "elf"), DumpFormat.ELF)
    with (tmp_path / "elf").open("rb") as file:
        loads = list(ELFFile(file).iter_segments("PT_LOAD"))
    physical = {each["p_offset"]: each["p_paddr"] for each in loads if each["p_paddr"] != INVALID}
    start = min(physical)
    others_there = {
        each["p_vaddr"]: each["p_offset"] for each in loads if each["p_paddr"] == INVALID
    }
    # The guest's memory is one run from 0, so that a place in the file is a physical address.
    assert physical == {start: 0}
    wanted = {run.virtual: start + run.physical for run in others}
    assert others_there.items() <= wanted.items()
    assert {wanted[each] for each in wanted.keys() - others_there.keys()} == {start + filler}
    assert len(wanted) - len(others_there) == times - ALIASES_LIMIT
