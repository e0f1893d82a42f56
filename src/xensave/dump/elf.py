"""An ELF core of a guest's memory, in the one layout that gdb, drgn, crash and volatility3 open.

Each choice is one that another of the tools refuses to do without:

- PT_NOTE comes first, with NT_PRSTATUS of each vCPU and VMCOREINFO. There are no notes of QEMU
  (drgn takes the file for a QEMU dump and refuses it) and no section headers.
- Each run of frames is a PT_LOAD with its physical address, and the virtual address of the
  direct map. Sizes in the file and in memory are equal (volatility3 passes others over); holes
  between runs are in no segment.
- The kernel's other mappings are PT_LOADs after those, for gdb, which knows virtual addresses
  alone: they share the file's bytes and have no physical address (~0).
- p_align is 0: crash takes a core with any other for a netdump, and reads no KASLR from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.dump import elf_structs as elf
from xensave.dump.copying import Frames
from xensave.dump.elf_structs import PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, Segment
from xensave.dump.kernel_file import KERNEL_MAP
from xensave.dump.kernel_map import KernelMap, Pieces, kernel_map, pieces
from xensave.dump.parts import Gap, Late, Part, aligned, packed
from xensave.dump.prstatus import all_prstatus
from xensave.dump.vmcoreinfo import NOTE_LIMIT, Finder, vmcoreinfo_note
from xensave.errors import LimitExceeded
from xensave.image import Image
from xensave.memory.column import Integers
from xensave.memory.mappings import Mappings
from xensave.memory.physical import FrameRun, Memory

SEGMENTS_LIMIT = 0xFFFE
"""e_phnum has 16 bits, and 0xffff means another thing; no tool here reads that."""

ALIASES_LIMIT = 16
"""The most mappings of the very same frames that become segments.

A PV Linux guest fills its list of machine frames, up to 512 GiB, with one page that says "none",
mapped again and again (xen_vmalloc_p2m_tree() in arch/x86/xen/p2m.c): 262,064 times of one frame.
"""

NO_ADDRESS = (1 << 64) - 1
_ALL = PF_R | PF_W | PF_X
_MASK = (1 << 64) - 1


def core(image: Image, vmcoreinfo: bytes | None = None) -> Iterator[Part]:
    """Yields the parts of the core; VMCOREINFO is looked for in memory where none is given.

    Then there is room for the longest, whether there is one or not: memory is looked at once,
    while it is copied.

    Raises LimitExceeded for memory in more runs than a core can have segments.
    """
    memory = image.memory
    runs = _segment_runs(memory)
    firsts = np.array([run.pfn for run in runs], np.int64)
    frames = np.array([run.frames for run in runs], np.int64)
    kernel = kernel_map(image)
    mapped = pieces(
        _few_aliases(kernel.others), firsts, firsts + frames, SEGMENTS_LIMIT - 1 - len(runs)
    )
    # What a frame of a run is further along in the file than by its number.
    ahead = np.cumsum(frames) - frames - firsts
    segments = 1 + len(runs) + len(mapped.run)
    registers = all_prstatus(image)
    front = elf.EHDR_SIZE + elf.PHDR_SIZE * segments
    start = (
        front
        + len(registers)
        + (NOTE_LIMIT if vmcoreinfo is None else len(vmcoreinfo_note(vmcoreinfo)))
    )
    start += aligned(start).size

    def head(text: bytes | None) -> bytes:
        notes = registers + (vmcoreinfo_note(text) if text is not None else b"")
        return b"".join(
            (
                elf.header(segments=segments),
                Segment(PT_NOTE, 0, front, 0, 0, len(notes)).to_bytes(),
                *_physical(runs, kernel.direct_map or 0, start),
                *_virtual(mapped, ahead, start),
                notes,
            )
        )

    if vmcoreinfo is not None:
        yield (first := head(vmcoreinfo))
        yield Gap(start - len(first))
    else:
        finder = Finder(memory, _image_of(kernel))
        yield Late(start, finder.look, lambda: head(finder.text()), lambda: finder.successful)
    total = len(memory.index)
    yield Frames(total, total << PAGE_SHIFT, lambda: packed(memory.columns(together=True)))


def _segment_runs(memory: Memory) -> list[FrameRun]:
    """Returns the ranges of memory, a segment each. Raises LimitExceeded for too many."""
    count = sum(len(columns.first) for columns in memory.columns(together=False))
    if count + 1 > SEGMENTS_LIMIT:
        raise LimitExceeded(
            f"memory in {count:,} runs, an ELF core has at most {SEGMENTS_LIMIT:,} segments; "
            "raw and lime have no such limit"
        )
    return list(memory.ranges())


def _physical(runs: Iterable[FrameRun], direct_map: int, offset: int) -> Iterator[bytes]:
    for run in runs:
        virtual = run.physical + direct_map & _MASK
        yield Segment(PT_LOAD, _ALL, offset, virtual, run.physical, run.size).to_bytes()
        offset += run.size


def _virtual(mapped: Pieces, ahead: Integers, offset: int) -> Iterator[bytes]:
    """Yields segments of other mappings; each lies within one run of frames."""
    offsets = offset + (mapped.first + ahead[mapped.run] << PAGE_SHIFT)
    columns = (mapped.virtual, offsets, mapped.frames << PAGE_SHIFT)
    for virtual, at, size in zip(*(column.tolist() for column in columns), strict=True):
        yield Segment(PT_LOAD, _ALL, at, virtual, NO_ADDRESS, size).to_bytes()


def _image_of(kernel: KernelMap) -> Mappings | None:
    """Returns the mappings of a 64-bit Linux kernel's own image, None where it is not told."""
    own = kernel.others.where(kernel.others.virtual >= np.uint64(KERNEL_MAP))
    return own if len(own) else None


def _few_aliases(mappings: Mappings) -> Mappings:
    """Returns mappings without those of the very same frames beyond the first ALIASES_LIMIT."""
    order = np.lexsort((mappings.size, mappings.physical))
    ordered = mappings.where(order)
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(ordered.physical) != 0) | (np.diff(ordered.size) != 0)
    starts = np.flatnonzero(begins)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return mappings.where(np.sort(order[place < ALIASES_LIMIT]))
