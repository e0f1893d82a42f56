"""Dumps that hold memory alone: raw, and LiME."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.dump.copying import Frames, Head
from xensave.dump.parts import Part, packed
from xensave.errors import LimitExceeded
from xensave.memory.physical import Memory

RAW_SLACK = 1 << 20
"""Frames that raw may span beyond those that the image lists: 4 GiB.

A saver lists every frame up to the highest, with contents or without. The special pages of an HVM
guest alone lie higher, below 4 GiB.
"""

LIME_MAGIC = 0x4C694D45
LIME_VERSION = 1
_LIME = struct.Struct("<IIQQQ")


def raw(memory: Memory) -> Iterator[Part]:
    """Yields memory as it lies: the offset in the file is the physical address.

    Raises LimitExceeded for an image whose highest frame lies far beyond what it lists: such a
    file would have a size that nothing in the image accounts for.
    """
    index = memory.index
    most = len(index) + int(index.empty.frames.sum()) + RAW_SLACK
    if index.end > most:
        raise LimitExceeded(
            f"frame {index.end - 1:#x} in an image of {most - RAW_SLACK:,} frames: as raw it would "
            f"be a file of {index.end << 12:,} bytes; lime and elf hold only what is there"
        )
    yield Frames(len(index), memory.size, lambda: memory.columns(together=True))


def lime(memory: Memory) -> Iterator[Part]:
    """Yields LiME's ranges in ascending order, each behind its header; the last address counts in.

    Source: the lime_mem_range_header of LiME's doc/README.md.
    """
    ranges = sum(len(columns.first) for columns in memory.columns(together=False))
    frames = len(memory.index)
    yield Frames(
        frames,
        ranges * _LIME.size + (frames << PAGE_SHIFT),
        lambda: packed(memory.columns(together=True), _LIME.size),
        lambda: _lime_heads(memory),
    )


def _lime_heads(memory: Memory) -> Iterator[Head]:
    for columns in packed(memory.columns(together=False), _LIME.size):
        # Addresses have up to 64 bits: more than the numbers of an array.
        for at, run in zip(columns.at.tolist(), columns.apart(), strict=True):
            last = run.physical + run.size - 1
            data = _LIME.pack(LIME_MAGIC, LIME_VERSION, run.physical, last, 0)
            yield Head(at - _LIME.size, data)
