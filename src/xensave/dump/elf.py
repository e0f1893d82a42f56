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

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.dump import elf_structs as elf
from xensave.dump.elf_structs import PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, Segment
from xensave.dump.kernel_file import KERNEL_MAP
from xensave.dump.kernel_map import KernelMap, kernel_map, pieces
from xensave.dump.parts import Gap, Late, Part, aligned
from xensave.dump.prstatus import all_prstatus
from xensave.dump.vmcoreinfo import NOTE_LIMIT, Finder, vmcoreinfo_note
from xensave.errors import LimitExceeded
from xensave.image import Image
from xensave.memory.address_space import Mapping
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
    """Yield the parts of the core; VMCOREINFO is looked for in memory where none is given.

    Then there is room for the longest, whether there is one or not: memory is looked at once,
    while it is copied.

    Raises LimitExceeded for memory in more runs than a core can have segments.
    """
    memory = image.memory
    runs = list(memory.ranges())
    if len(runs) + 1 > SEGMENTS_LIMIT:
        raise LimitExceeded(
            f"memory in {len(runs):,} runs, an ELF core has at most {SEGMENTS_LIMIT:,} segments; "
            "raw and lime have no such limit"
        )
    kernel = kernel_map(image)
    mapped = _mapped(memory, kernel, SEGMENTS_LIMIT - 1 - len(runs))
    segments = 1 + len(runs) + len(mapped)
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
                *_virtual(runs, mapped, start),
                notes,
            )
        )

    if vmcoreinfo is not None:
        yield (first := head(vmcoreinfo))
        yield Gap(start - len(first))
    else:
        finder = Finder(memory, _image_of(kernel))
        yield Late(start, finder.look, lambda: head(finder.text()))
    yield from runs


def _physical(runs: Iterable[FrameRun], direct_map: int, offset: int) -> Iterator[bytes]:
    for run in runs:
        virtual = run.physical + direct_map & _MASK
        yield Segment(PT_LOAD, _ALL, offset, virtual, run.physical, run.size).to_bytes()
        offset += run.size


def _virtual(runs: list[FrameRun], mapped: list[Mapping], offset: int) -> Iterator[bytes]:
    """Yield segments of other mappings; each lies within one run of frames."""
    starts = np.array([run.pfn for run in runs], np.int64)
    frames = np.array([run.frames for run in runs], np.int64)
    before = np.cumsum(frames) - frames
    for piece in mapped:
        pfn = piece.physical >> PAGE_SHIFT
        run = int(np.searchsorted(starts, np.int64(pfn), "right")) - 1
        at = offset + (int(before[run] - starts[run]) + pfn << PAGE_SHIFT)
        yield Segment(PT_LOAD, _ALL, at, piece.virtual, NO_ADDRESS, piece.size).to_bytes()


def _image_of(kernel: KernelMap) -> list[FrameRun] | None:
    """Return the frames of a 64-bit Linux kernel's own image, None where it is not told."""
    runs = [
        FrameRun(run.physical >> PAGE_SHIFT, run.size >> PAGE_SHIFT)
        for run in kernel.others
        if run.virtual >= KERNEL_MAP
    ]
    return runs or None


def _mapped(memory: Memory, kernel: KernelMap, most: int) -> list[Mapping]:
    """Return the parts of other mappings that have contents: of too many, the largest."""
    mappings = [piece for run in _few_aliases(kernel.others) for piece in pieces(memory, run)]
    if len(mappings) > most:
        mappings = sorted(sorted(mappings, key=lambda each: -each.size)[:most])
    return mappings


def _few_aliases(runs: Iterable[Mapping]) -> Iterator[Mapping]:
    """Yield mappings, of those that map the very same frames the first ALIASES_LIMIT."""
    seen: Counter[tuple[int, int]] = Counter()
    for run in runs:
        frames = (run.physical, run.size)
        seen[frames] += 1
        if seen[frames] <= ALIASES_LIMIT:
            yield run
