"""What `xl dump-core` writes: an ELF file of sections, for Xen's own users.

Source: docs/misc/dump-core-format.txt; tools/libs/guest/xg_core.c and xg_core_x86.c of Xen 4.17.

An image does not hold all that a running Xen tells. The shared info page of an HVM or PVH guest is
zero here, and of the hypervisor only the version and the page size are known: its build's compiler,
date, capabilities and change set are zero.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from xensave.container import libxc
from xensave.container.events import LIBXC
from xensave.container.libxc import PAGE_SIZE
from xensave.dump import elf_structs as elf
from xensave.dump.elf_structs import SHT_NOTE, SHT_NULL, SHT_PROGBITS, SHT_STRTAB, Section, note
from xensave.dump.guest_context import CONTEXT_SIZE, guest_contexts
from xensave.dump.parts import Gap, Part, aligned
from xensave.image import Image
from xensave.memory.column import Integers
from xensave.memory.physical import FrameRun

NOTE_NONE, NOTE_HEADER, NOTE_XEN_VERSION, NOTE_FORMAT_VERSION = range(0x2000000, 0x2000004)
MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE
FORMAT_VERSION = 1
INVALID_PFN = (1 << 64) - 1

HYPERVISOR_VIRT_START = 0xFFFF800000000000
"""XENVER_platform_parameters: where a 64-bit Xen's addresses begin."""

# Frames that dump-core passes over in an HVM or PVH guest (xc_core_arch_gpfn_may_present()): the
# VGA hole, and what lies from HVM_BELOW_4G_MMIO_START (xen/include/public/hvm/e820.h) to 4 GiB.
_HOLES = ((0xA0, 0xC0), (0xF0000, 0x100000))

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
    """Yield the parts of a dump-core file of the image's guest."""
    memory = image.memory
    pv = image.type == "pv"
    frames = memory.index.pfns if pv else _dumped(memory.index.pfns)
    # A dump has a slot for each page of the guest; those that it passes over are invalid, and last.
    slots = len(memory.index)
    notes = _notes(image, slots, pv=pv)
    contexts = b"".join(guest_contexts(image))
    shared = _shared_info(image)
    table = _frame_table(frames, slots, pv=pv)
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
    name, unit = (".xen_p2m", 16) if pv else (".xen_pfn", 8)
    sections.append(Section(names.add(name), SHT_PROGBITS, table_at, len(table), 8, unit))
    sections.insert(1, Section(strings, SHT_STRTAB, table_at + len(table), len(names.data)))

    yield elf.header(sections=len(sections), names=1, abi_version=1)
    yield b"".join(section.to_bytes() for section in sections)
    yield notes + contexts + shared
    yield aligned(head)
    yield from _runs(frames)
    yield Gap((slots - len(frames)) * PAGE_SIZE)
    yield table + names.data


_SECTIONS = 7


def _dumped(pfns: Integers) -> Integers:
    keep = np.ones(len(pfns), bool)
    for first, end in _HOLES:
        keep &= (pfns < first) | (pfns >= end)
    return pfns[keep]


def _runs(pfns: Integers) -> Iterator[FrameRun]:
    for part in np.split(pfns, np.flatnonzero(np.diff(pfns) != 1) + 1):
        if len(part):
            yield FrameRun(int(part[0]), len(part))


def _frame_table(pfns: Integers, slots: int, *, pv: bool) -> bytes:
    """Return .xen_pfn, or .xen_p2m where each frame is its own machine frame."""
    padded = np.full(slots, INVALID_PFN, np.uint64)
    padded[: len(pfns)] = pfns
    return np.repeat(padded, 2 if pv else 1).tobytes()


def _shared_info(image: Image) -> bytes:
    """Return the shared info page: a PV guest's stream has it."""
    for kept in reversed(image.tally.all(LIBXC, libxc.SHARED_INFO)):
        return kept.body[:PAGE_SIZE].ljust(PAGE_SIZE, b"\0")
    return bytes(PAGE_SIZE)


def _notes(image: Image, slots: int, *, pv: bool) -> bytes:
    domain = image.domain
    major, minor = (domain.xen_major, domain.xen_minor) if domain is not None else (0, 0)
    magic = MAGIC_PV if pv else MAGIC_HVM
    narrow = pv and image.facts.width == 32
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
