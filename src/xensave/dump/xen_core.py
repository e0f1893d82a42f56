"""What `xl dump-core` writes: an ELF file of sections, for Xen's own users.

Source: docs/misc/dump-core-format.txt; tools/libs/guest/xg_core.c and xg_core_x86.c of Xen 4.17.

An image does not hold all that a running Xen tells. The shared info page of an HVM or PVH guest is
zero here, and of the hypervisor only the version and the page size are known: its build's compiler,
date, capabilities and change set are zero.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SIZE
from xensave.dump import elf_structs as elf
from xensave.dump.copying import Frames
from xensave.dump.elf_structs import SHT_NOTE, SHT_NULL, SHT_PROGBITS, SHT_STRTAB, Section, note
from xensave.dump.guest_context import CONTEXT_SIZE, guest_contexts
from xensave.dump.parts import Gap, Made, Part, aligned, packed
from xensave.image import Image
from xensave.memory.contents import blocks
from xensave.memory.index.runs import MOST, spread
from xensave.memory.physical import FrameColumns

NOTE_NONE, NOTE_HEADER, NOTE_XEN_VERSION, NOTE_FORMAT_VERSION = range(0x2000000, 0x2000004)
MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE
FORMAT_VERSION = 1
INVALID_PFN = (1 << 64) - 1

HYPERVISOR_VIRT_START = 0xFFFF800000000000
"""XENVER_platform_parameters: where a 64-bit Xen's addresses begin."""

# Frames that dump-core passes over in an HVM or PVH guest (xc_core_arch_gpfn_may_present()): the
# VGA hole, and what lies from HVM_BELOW_4G_MMIO_START (xen/include/public/hvm/e820.h) to 4 GiB.
_HOLES = ((0xA0, 0xC0), (0xF0000, 0x100000))

_ENTRIES = 1 << 16
_HEADER = struct.Struct("<4Q")
# xen_extraversion_t, xen_compile_info_t, xen_capabilities_info_t, xen_changeset_info_t of
# xen/include/public/version.h between the two numbers and the last ones.
_VERSION = struct.Struct("<QQ16s144s1024s64sQQ")
_VERSION_32 = struct.Struct("<QQ16s144s1024s64sIQ4x")


class _Names:
    """The table of section names, in the order in which dump-core enters them."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, name: str) -> int:
        at = len(self.data)
        self.data += name.encode() + b"\0"
        return at


def core(image: Image) -> Iterator[Part]:
    """Yields the parts of a dump-core file of the image's guest."""
    memory = image.memory
    pv = image.type == "pv"
    holes = () if pv else _HOLES

    def ranges() -> Iterator[FrameColumns]:
        return _outside(memory.columns(together=False), holes)

    # A dump has a slot for each page of the guest; those that it passes over are invalid, and last.
    slots = len(memory.index)
    notes = _notes(image, slots, pv=pv)
    contexts = b"".join(guest_contexts(image))
    shared = _shared_info(image)
    frames = sum(int(columns.frames.sum()) for columns in ranges())
    invalid = slots - frames
    table, entry = (".xen_p2m", 16) if pv else (".xen_pfn", 8)
    front = elf.EHDR_SIZE + _SECTIONS * elf.SHDR_SIZE
    head = front + len(notes) + len(contexts) + len(shared)
    pages_at = head + aligned(head).size
    table_at = pages_at + slots * PAGE_SIZE

    names = _Names()
    strings = names.add(".shstrtab")
    at = front
    sections = [Section(0, SHT_NULL, 0, 0)]
    sections.append(Section(names.add(".note.Xen"), SHT_NOTE, at, len(notes)))
    at += len(notes)
    for name, data, unit in (
        (".xen_prstatus", contexts, CONTEXT_SIZE),
        (".xen_shared_info", shared, PAGE_SIZE),
    ):
        sections.append(Section(names.add(name), SHT_PROGBITS, at, len(data), 8, unit))
        at += len(data)
    pages = (names.add(".xen_pages"), SHT_PROGBITS, pages_at, slots * PAGE_SIZE)
    sections.append(Section(*pages, PAGE_SIZE, PAGE_SIZE))
    sections.append(Section(names.add(table), SHT_PROGBITS, table_at, slots * entry, 8, entry))
    sections.insert(1, Section(strings, SHT_STRTAB, table_at + slots * entry, len(names.data)))

    yield elf.header(sections=len(sections), names=1, abi_version=1)
    yield b"".join(section.to_bytes() for section in sections)
    yield notes + contexts + shared
    yield aligned(head)
    yield Frames(
        frames,
        frames * PAGE_SIZE,
        lambda: packed(_outside(memory.columns(together=True), holes)),
    )
    yield Gap(invalid * PAGE_SIZE)
    yield Made(slots * entry, lambda: _frame_table(ranges(), invalid, pv=pv))
    yield names.data


_SECTIONS = 7


def _outside(
    windows: Iterable[FrameColumns], holes: tuple[tuple[int, int], ...]
) -> Iterator[FrameColumns]:
    """Yields what of runs of frames lies in none of the holes."""
    edges = [0, *chain.from_iterable(holes), MOST]
    for columns in windows:
        parts = []
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            inside = np.maximum(start - columns.first, 0)
            frames = np.minimum(columns.frames, stop - columns.first) - inside
            of = np.flatnonzero(frames > 0)
            parts.append(columns.part(of, inside[of], frames[of]))
        left = FrameColumns(*map(np.concatenate, zip(*parts, strict=True)))
        if len(left.first):
            yield left


def _frame_table(ranges: Iterable[FrameColumns], invalid: int, *, pv: bool) -> Iterator[bytes]:
    """Yields .xen_pfn, or .xen_p2m where each frame is its own machine frame."""
    times = 2 if pv else 1
    for block in blocks(ranges, _ENTRIES):
        yield np.repeat(spread(block.first, block.frames), times).tobytes()
    for at in range(0, invalid, _ENTRIES):
        yield struct.pack("<Q", INVALID_PFN) * min(_ENTRIES, invalid - at) * times


def _shared_info(image: Image) -> bytes:
    """Returns the shared info page: a PV guest's stream has it."""
    for record in reversed(image.tally.all(LIBXC, libxc.SHARED_INFO)):
        return record.body[:PAGE_SIZE].ljust(PAGE_SIZE, b"\0")
    return bytes(PAGE_SIZE)


def _notes(image: Image, slots: int, *, pv: bool) -> bytes:
    domain = image.domain
    major, minor = (domain.xen_major, domain.xen_minor) if domain is not None else (0, 0)
    magic = MAGIC_PV if pv else MAGIC_HVM
    narrow = pv and image.width == 32
    # A 32-bit guest's dump has the page size where its own struct would have it.
    version = _VERSION_32 if narrow else _VERSION
    empty = (b"", b"", b"", b"")
    start = HYPERVISOR_VIRT_START & 0xFFFFFFFF if narrow else HYPERVISOR_VIRT_START
    return b"".join(
        (
            note(b"Xen", NOTE_NONE, b""),
            note(
                b"Xen", NOTE_HEADER, _HEADER.pack(magic, len(image.vcpu_numbers), slots, PAGE_SIZE)
            ),
            note(b"Xen", NOTE_XEN_VERSION, version.pack(major, minor, *empty, start, PAGE_SIZE)),
            note(b"Xen", NOTE_FORMAT_VERSION, struct.pack("<Q", FORMAT_VERSION)),
        )
    )
