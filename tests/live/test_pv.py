"""A running PV guest as a stream: held to what Xen saved and dumped of one guest.

The core that `xl dump-core` wrote has what a running Xen has: machine frames in tables, contexts
and shared info, and the P2M. Xen's own save of the same guest has them translated. Pages that the
files of tests/data/memory blank are made of the P2M where the P2M lies.
"""

import io
import struct

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tests.dump.test_pair import CONTEXT_SIZE, RAX, RDX
from tests.memory import samples
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import P2mFrames, VcpuBlob
from xensave.errors import LimitExceeded, Malformed
from xensave.live import pv
from xensave.live.domain import MOST_TYPES, DomainInfo
from xensave.live.domain import TYPE_SHIFT as ANSWER_SHIFT
from xensave.live.p2m import FRAMES_LIMIT, P2m
from xensave.live.pv import RunningPvGuest
from xensave.records.flat import locate
from xensave.records.stream import stream_layout

PAGE = 4096
ARCH, ARCH_32 = 3088, 2316
"""Where struct arch_shared_info lies in the shared info page, by the guest's width."""
XTAB = 0xF


class Foreign:
    """Memory by machine frame, as libxenforeignmemory gives it."""

    def __init__(self, pages):
        self.by_frame = pages

    def pages(self, domain, frames):
        there = np.array([frame in self.by_frame for frame in frames.tolist()])
        return b"".join(self.by_frame[f] for f in frames[there].tolist()), there


class Domain:
    """What Xen says of a PV guest: `types` of machine frames, `contexts` of its vCPUs."""

    number = 1

    def __init__(self, bits, shared_info, types, contexts):
        self.bits, self.types, self.contexts = bits, types, contexts
        self.asked = []
        self._info = DomainInfo(0, len(types), shared_info, len(contexts) - 1)

    def width(self):
        return self.bits

    def info(self):
        return self._info

    def page_types(self, frames):
        asked = np.frombuffer(frames, np.uint64).tolist()
        self.asked.append(len(asked))
        words = [self.types.get(frame, XTAB) << ANSWER_SHIFT for frame in asked]
        return np.array(words, np.uint64).tobytes()

    def vcpu_context(self, number, bits):
        assert bits == self.bits
        return self.contexts[number]


class Pair:
    """A guest that Xen saved, and what a running Xen had of it: its core."""

    SHARED = 0xFFFFF0

    def __init__(self):
        self.image = samples.pair_image("pv.img.zst")
        core = ELFFile(io.BytesIO(samples.pair_bytes("pv.core.zst")))
        data = {
            name: core.get_section_by_name(name).data()
            for name in (".xen_pages", ".xen_p2m", ".xen_prstatus", ".xen_shared_info")
        }
        table = np.frombuffer(data[".xen_p2m"], "<u8")
        self.frame_of = dict(zip(table[::2].tolist(), table[1::2].tolist(), strict=True))
        pages = {
            frame: data[".xen_pages"][at * PAGE : (at + 1) * PAGE]
            for at, frame in enumerate(table[1::2].tolist())
        }
        pages[self.SHARED] = data[".xen_shared_info"]
        self.saved_leaves = P2mFrames.parse(self.record(libxc.X86_PV_P2M_FRAMES))
        p2m = np.full(self.saved_leaves.end_pfn + 1, np.uint64(2**64 - 1))
        for pfn, frame in self.frame_of.items():
            p2m[pfn] = frame
        for at, leaf in enumerate(self.saved_leaves.frames):
            words = p2m[at * 512 : (at + 1) * 512].tobytes()
            pages[self.frame_of[leaf]] = words.ljust(PAGE, b"\xff")
        types = {
            frame: self.image.memory.index.type_of(pfn) for pfn, frame in self.frame_of.items()
        }
        blob = data[".xen_prstatus"]
        contexts = [blob[at : at + CONTEXT_SIZE] for at in range(0, len(blob), CONTEXT_SIZE)]
        self.domain = Domain(64, self.SHARED, types, contexts)
        self.guest = RunningPvGuest(self.domain, Foreign(pages))
        self.pages = pages

    def record(self, kind, number=0):
        return self.image.tally.all("libxc", kind)[number].body


@pytest.fixture(scope="module")
def pair():
    return Pair()


def test_its_memory_is_that_of_the_save(pair):
    index = pair.image.memory.index
    assert pair.guest.pfns.tolist() == index.pfns.tolist()
    assert pair.guest.types.tolist() == [index.type_of(pfn) for pfn in index.pfns.tolist()]
    assert max(pair.domain.asked) == MOST_TYPES


def test_its_tables_are_those_of_the_save(pair):
    guest = pair.guest
    columns = (guest.pfns.tolist(), guest.frames.tolist(), guest.types.tolist())
    tables = [row for row in zip(*columns, strict=True) if row[2] & 7]
    assert len(tables) == 161
    for pfn, frame, kind in tables:
        assert guest.table(pair.pages[frame], kind) == pair.image.memory.page(pfn), hex(pfn)


def test_its_p2m_is_where_the_save_says(pair):
    info, frames = pair.record(libxc.X86_PV_INFO), pair.record(libxc.X86_PV_P2M_FRAMES)
    assert pair.guest.front() == (
        pack_record(libxc.X86_PV_INFO, info) + pack_record(libxc.X86_PV_P2M_FRAMES, frames)
    )


def test_its_vcpus_are_those_of_the_save(pair):
    back = pair.guest.back()
    assert back[8 : 8 + PAGE] == pair.record(libxc.SHARED_INFO)
    at = 8 + PAGE
    for number in range(2):
        kind, size = struct.unpack_from("<II", back, at)
        assert kind == libxc.X86_PV_VCPU_BASIC
        mine = bytearray(back[at + 8 : at + 8 + size])
        saved = bytearray(pair.record(kind, number))
        assert VcpuBlob.parse(mine).vcpu_id == number
        if not number:
            # The save was a suspend: rdx names the start info. The resume then returned 1.
            assert (
                pair.frame_of[struct.unpack_from("<Q", saved, 8 + RDX)[0]]
                == (struct.unpack_from("<Q", mine, 8 + RDX)[0])
            )
            for offset in (RAX, RDX):
                mine[8 + offset : 16 + offset] = saved[8 + offset : 16 + offset]
        assert mine == saved
        at += 8 + size
    assert at == len(back)


SHARED_INFO, LIST_LIST, LIST, LEAF, TABLE, DATA = range(0x500, 0x506)
ROOT_32 = 0x500000
"""A root of a 32-bit guest beyond 4 GiB, which its CR3 names in rotated form."""


def made(bits=64, *, max_pfn=6, frames=None, by_list=False, generation=0, root=TABLE, pages=None):
    """A guest of six frames; its P2M is a tree of lists, or mapped by its root table."""
    number = "<u8" if bits == 64 else "<u4"
    frames = [LIST_LIST, LIST, None, LEAF, root, DATA] if frames is None else frames
    none = (1 << bits) - 1
    words = [none if frame is None else frame for frame in frames]

    def page(values, kind=number):
        return np.array(values, kind).tobytes().ljust(PAGE, b"\xff")

    root_register = (root << 12 | root >> 20) & none
    cr3 = root_register if by_list else 0
    arch = struct.pack(
        "<6Q" if bits == 64 else "<6I", max_pfn, LIST_LIST, 0, cr3, 0x3000, generation
    )
    at = ARCH if bits == 64 else ARCH_32
    memory = {
        SHARED_INFO: (bytes(at) + arch).ljust(PAGE, b"\0"),
        LIST_LIST: page([LIST]),
        LIST: page([LEAF]),
        LEAF: page(words),
        root: page([0] * 512, "<u8"),
        DATA: b"data" * 1024,
    } | (pages or {})
    types = dict.fromkeys((LIST_LIST, LIST, LEAF, root, DATA), 0)
    context = bytearray(CONTEXT_SIZE if bits == 64 else 2800)
    struct.pack_into("<Q" if bits == 64 else "<I", context, cr3_offset(bits), root_register)
    domain = Domain(bits, SHARED_INFO, types, [bytes(context), None])
    return RunningPvGuest(domain, Foreign(memory))


def cr3_offset(bits):
    """Where ctrlreg[3] is in a vCPU's context."""
    layout = stream_layout("X86_PV_VCPU_BASIC", 8 + (CONTEXT_SIZE if bits == 64 else 2800))
    return locate(layout.fields, "ctrlreg[3]").start - 8


@pytest.mark.parametrize("bits", [64, 32])
def test_a_tree_of_lists(bits):
    guest = made(bits)
    assert guest.pfns.tolist() == [0, 1, 3, 4, 5]
    assert guest.frames.tolist() == [LIST_LIST, LIST, LEAF, TABLE, DATA]


def entries(*pairs):
    """A page table with these entries."""
    table = np.zeros(512, np.uint64)
    for at, entry in pairs:
        table[at] = entry
    return table.tobytes()


def test_a_list_that_a_32_bit_guest_maps():
    """Three levels, and a root that is named in rotated form."""
    directory, table = LIST_LIST, LIST
    pages = {
        ROOT_32: entries((0, directory << 12 | 1)),
        directory: entries((0, table << 12 | 0x67)),
        table: entries((3, LEAF << 12 | 0x67)),
    }
    guest = made(32, by_list=True, root=ROOT_32, pages=pages)
    assert guest.frames.tolist() == [LIST_LIST, LIST, LEAF, ROOT_32, DATA]
    record = guest.back()[8 + PAGE :]
    context = VcpuBlob.parse(record[8 : 8 + 2808]).context
    assert struct.unpack_from("<I", context, cr3_offset(32)) == (4 << 12,)
    # The second vCPU is not online.
    assert len(record) == 8 + 2808


def test_what_is_not_the_guests_is_not_in_its_tables():
    guest = made(pages={TABLE: b""})
    mapped, foreign = DATA << 12 | 0x63, 0x777 << 12 | 0x63
    page = entries((0, mapped), (1, foreign), (2, 0xABC000), (256, mapped), (271, 1), (272, mapped))
    ours = 5 << 12 | 0x63
    assert guest.table(page, 4) == entries((0, ours), (2, 0xABC000), (272, ours))
    # Only a root table has entries of Xen's; a pinned one is one too; other pages are as they are.
    assert guest.table(page, 0xC) == guest.table(page, 4)
    assert guest.table(page, 1) == entries((0, ours), (2, 0xABC000), (256, ours), (272, ours))
    assert guest.table(page, 0) == page
    # Of a large page only the first frame's number is known.
    assert guest.table(entries((0, mapped | 0x80)), 2) == entries()
    narrow = made(32)
    page = entries((0, mapped), (4, mapped), (511, foreign))
    assert narrow.table(page, 3) == entries((0, ours))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"max_pfn": FRAMES_LIMIT + 1}, LimitExceeded, "its highest frame is 0x10000000"),
        ({"by_list": True, "generation": 3}, Malformed, "is just changing its P2M"),
        ({"by_list": True}, Malformed, "its P2M is not mapped"),
        ({"pages": {LIST: b"\x77" * PAGE}}, Malformed, "names frames that are not its own"),
        ({"frames": [DATA] * 6}, Malformed, "its P2M has far more than the 5 pages of it"),
        ({"max_pfn": 0, "frames": []}, Malformed, "CR3 is machine frame 0x504, which is not in"),
    ],
)
def test_a_p2m_that_leads_nowhere(how, error, message, monkeypatch):
    monkeypatch.setattr(pv, "PAGES_OF_XEN", 0)
    with pytest.raises(error, match=message):
        made(**how).back()


def test_pages_that_xen_does_not_count_may_be_in_a_p2m():
    assert made(frames=[DATA] * 6).pfns.tolist() == list(range(6))


def test_a_frame_of_two_numbers_is_named_by_the_lower():
    guest = made(frames=[LIST_LIST, LIST, None, DATA, TABLE, DATA], max_pfn=6)
    assert guest.pfns.tolist() == [0, 1, 3, 4, 5]
    assert guest.table(entries((0, DATA << 12 | 1)), 1) == entries((0, 3 << 12 | 1))


def test_a_p2m_is_read_in_parts():
    """More leaves than are mapped at once."""
    count = 1025
    frames = {LIST_LIST: entries(*((at, LIST) for at in range(3)))}
    frames |= {LIST: np.full(512, LEAF, np.uint64).tobytes(), LEAF: b"\xff" * PAGE}
    shared = (bytes(ARCH) + struct.pack("<6Q", count * 512, LIST_LIST, 0, 0, 0, 0)).ljust(PAGE)
    p2m = P2m(Foreign(frames), 1, 64, shared)
    assert [len(frames) for _, frames in p2m.entries()] == [0, 0]
    assert len(p2m.leaves) == count
