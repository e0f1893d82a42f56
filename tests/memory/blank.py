"""Blank most pages of an image, and of the `xl dump-core` of the same guest, to keep them as data.

    python -m tests.memory.blank IMAGE CORE OUT [PHYSICAL ...]

Kept are the page tables, the start info of a PV guest, and the pages at the addresses given; the
others become zeros, so that every record, section and offset stays what it was. The two files go
to OUT.img.zst and OUT.core.zst; of a raw image and a raw core.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zstandard
from elftools.elf.elffile import ELFFile

from xensave import open as open_image
from xensave.image import Image
from xensave.memory.physical import Memory

PAGE = 4096
TABLES = range(1, 5)
PRESENT, LARGE = 1 << 0, 1 << 7
FRAME = (1 << 40) - 1 << 12


def blank(image_path: str, core_path: str, out: str, *physical: str) -> None:
    """Write both files with the pages that are kept."""
    data = bytearray(Path(image_path).read_bytes())
    with open_image(image_path) as image:
        memory = image.memory
        keep = {int(address, 16) // PAGE for address in physical} | set(tables_of(image))
        if image.type == "pv":
            keep.add(image.vcpu(0).registers.rdx)
        for pfn, offset in zip(memory.index.pfns.tolist(), _offsets(memory), strict=True):
            if pfn not in keep:
                data[offset : offset + PAGE] = bytes(PAGE)
    core = bytearray(Path(core_path).read_bytes())
    with Path(core_path).open("rb") as file:
        elf = ELFFile(file)
        pages = elf.get_section_by_name(".xen_pages")["sh_offset"]
        for slot, pfn in enumerate(pfns_of(elf).tolist()):
            if pfn not in keep:
                core[pages + slot * PAGE : pages + (slot + 1) * PAGE] = bytes(PAGE)
    for kind, kept in (("img", data), ("core", core)):
        packer = zstandard.ZstdCompressor(level=19)
        Path(f"{out}.{kind}.zst").write_bytes(packer.compress(bytes(kept)))


def pfns_of(core: ELFFile) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """Return the frame numbers of a dump-core file's slots."""
    table = core.get_section_by_name(".xen_pfn")
    if table is not None:
        return np.frombuffer(table.data(), "<u8")
    return np.frombuffer(core.get_section_by_name(".xen_p2m").data(), "<u8")[::2]


def _offsets(memory: Memory) -> Iterator[int]:
    for run in memory.ranges():
        for part in memory.file_runs(run.pfn, run.pfn + run.frames):
            yield from range(part.offset, part.offset + part.size, PAGE)


def tables_of(image: Image) -> Iterator[int]:
    """Yield the frames of page tables: by their type in a PV guest, by a walk in another."""
    memory = image.memory
    if image.type == "pv":
        index = memory.index
        yield from (pfn for pfn in index.pfns.tolist() if index.type_of(pfn) & 7 in TABLES)
        return
    for number in image.vcpu_numbers:
        space = image.vcpu(number).kernel_space
        yield from _walk(memory, space.cr3 & FRAME, len(space.mode.levels))


def _walk(memory: Memory, table: int, level: int) -> Iterator[int]:
    yield table // PAGE
    if level == 1:
        return
    for (entry,) in struct.iter_unpack("<Q", memory.read(table, PAGE, zero=True)):
        if entry & PRESENT and not (entry & LARGE and level < 4):
            yield from _walk(memory, entry & FRAME, level - 1)


if __name__ == "__main__":
    blank(*sys.argv[1:])
