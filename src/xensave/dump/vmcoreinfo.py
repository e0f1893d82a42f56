"""VMCOREINFO: what a Linux kernel says of itself to the tools that read its memory.

A kernel that can kdump (CONFIG_VMCORE_INFO, CONFIG_CRASH_CORE, CONFIG_KEXEC before) keeps an ELF
note of it ready in its memory: a header of three 32-bit words (name size 11, descriptor size,
type 0), the name and the text, each padded to 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.dump.elf_structs import note
from xensave.memory.contents import contents
from xensave.memory.physical import FrameRun, Memory

NAME = b"VMCOREINFO"
TEXT_LIMIT = PAGE_SIZE
"""VMCOREINFO_BYTES of Linux (include/linux/vmcore_info.h): a longer text is none."""

_HEADER = struct.Struct("<III12s")

NOTE_LIMIT = _HEADER.size + TEXT_LIMIT
"""The most bytes that the note of a found text takes."""

_START = b"OSRELEASE="

# The note lies at a multiple of four bytes: the last words of its header, and its name.
_WORDS = np.frombuffer(_HEADER.pack(len(NAME) + 1, 0, 0, NAME), "<u4")
_SIZE_AT, _NAME_AT = 1, 3
_PAGE_WORDS = PAGE_SIZE // 4

Words: TypeAlias = npt.NDArray[np.uint32]
Places: TypeAlias = npt.NDArray[np.intp]

PLACES_LIMIT = 1 << 16
"""The most places that are looked at closely; a kernel keeps two or three such texts."""


class Finder:
    """Looks at pages for a VMCOREINFO note, and reads that of the first one.

    Kernels from 4.13 on begin a page with it. Before, it lies somewhere in the kernel's own image:
    all of the frames of `kernel` are searched, all of memory where that is None.
    """

    def __init__(self, memory: Memory, kernel: Sequence[FrameRun] | None = None) -> None:
        self._memory = memory
        self._kernel = kernel
        self._places: list[int] = []
        self._read = 0

    def look(self, pfn: int, pages: bytes | memoryview) -> None:
        """Take in pages from a frame on. They may come in any order, from several threads."""
        words = np.frombuffer(pages, "<u4")
        end = pfn + (len(pages) >> PAGE_SHIFT)
        searched = self._kernel
        if searched is None:
            searched = [FrameRun(pfn, end - pfn)]
        else:
            starts = np.flatnonzero(words[_NAME_AT::_PAGE_WORDS] == _WORDS[_NAME_AT])
            self._add(pfn, words, starts * _PAGE_WORDS + _NAME_AT)
        for run in searched:
            first, last = max(pfn, run.pfn), min(end, run.pfn + run.frames)
            if first < last:
                # A copy, so that words lie at whole words.
                part = np.array(words[(first - pfn) * _PAGE_WORDS : (last - pfn) * _PAGE_WORDS])
                self._add(first, part, np.flatnonzero(part == _WORDS[_NAME_AT]))

    def _add(self, pfn: int, words: Words, places: Places) -> None:
        places = places[_plausible(words, places)] - _NAME_AT
        room = PLACES_LIMIT - len(self._places)
        self._places += [(pfn << PAGE_SHIFT) + at * 4 for at in places[:room].tolist()]

    def text(self) -> bytes | None:
        """Return the text of the note at the lowest address; None for none.

        That is among what was looked at since the last call.
        """
        places = self._places[self._read :]
        self._read += len(places)
        # A page of the kernel's may have been told by its start too.
        for physical in sorted(set(places)):
            text = _text(self._memory, physical)
            if text is not None:
                return text
        return None


def find_vmcoreinfo(memory: Memory) -> bytes | None:
    """Return the text of the guest's VMCOREINFO; None where its kernel keeps none.

    Memory is searched up to it, but for holes of the image.
    """
    finder = Finder(memory)
    for pfn, data in contents(memory):
        finder.look(pfn, data)
        text = finder.text()
        if text is not None:
            return text
    return None


def vmcoreinfo_note(text: bytes) -> bytes:
    """Return the ELF note of a VMCOREINFO text."""
    return note(NAME, 0, text)


def _plausible(words: Words, places: Places) -> npt.NDArray[np.bool_]:
    """Tell which places of the name's first word have the rest of a note about them.

    What lies beyond the words at hand counts as right.
    """
    right = np.ones(len(places), np.bool_)
    for at, wanted in enumerate(_WORDS):
        there = places + (at - _NAME_AT)
        inside = (there >= 0) & (there < len(words))
        if at != _SIZE_AT:
            right[inside] &= words[there[inside]] == wanted
    return right


def _text(memory: Memory, physical: int) -> bytes | None:
    """Return the text of the note at a physical address, None where it cannot be one."""
    if physical < 0:
        return None
    name_size, size, type_, name = _HEADER.unpack(memory.read(physical, _HEADER.size, zero=True))
    if (name_size, type_, name.rstrip(b"\0")) != (len(NAME) + 1, 0, NAME):
        return None
    if not 0 < size <= TEXT_LIMIT:
        return None
    text = memory.read(physical + _HEADER.size, size, zero=True).rstrip(b"\0")
    lines = text.splitlines()
    plain = all(b"=" in line and line.isascii() for line in lines)
    return text if text.startswith(_START) and plain else None
