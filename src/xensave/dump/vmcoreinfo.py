"""VMCOREINFO: what a Linux kernel says of itself to the tools that read its memory.

A kernel that can kdump (CONFIG_VMCORE_INFO, CONFIG_CRASH_CORE, CONFIG_KEXEC before) keeps an ELF
note of it ready in its memory: a header of three 32-bit words (name size 11, descriptor size,
type 0), the name and the text, each padded to 4 bytes.
"""

from __future__ import annotations

import struct

import numpy as np

from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.dump.elf_structs import note
from xensave.errors import LimitExceeded, Malformed
from xensave.memory.contents import contents
from xensave.memory.mappings import Mappings
from xensave.memory.physical import Memory

NAME = b"VMCOREINFO"
TEXT_LIMIT = PAGE_SIZE
"""VMCOREINFO_BYTES of Linux (include/linux/vmcore_info.h): a longer text is none."""

_HEADER = struct.Struct("<III12s")

NOTE_LIMIT = _HEADER.size + TEXT_LIMIT
"""The most bytes that the note of a found text takes."""

_START = b"OSRELEASE="

# The note lies at a multiple of four bytes. Told before its text: the type, and the name behind it.
_WORD = 4
_NAME_AT = 3 * _WORD
_KNOWN = bytes(_WORD) + NAME.ljust(_HEADER.size - _NAME_AT, b"\0")

PLACES_LIMIT = 1 << 16
"""The most places that are looked at closely; a kernel keeps two or three such texts."""


class Finder:
    """Looks at pages for a VMCOREINFO note, and reads that of the first one.

    Kernels from 4.13 on begin a page with it. Before, it lies somewhere in the kernel's own image:
    all of the frames that `kernel` maps are searched, all of memory where that is None.
    `successful` tells whether `text` has returned one.
    """

    def __init__(self, memory: Memory, kernel: Mappings | None = None) -> None:
        self._memory = memory
        self._kernel = _Spans(kernel) if kernel is not None else None
        self._places: list[int] = []
        self._read = 0
        self.successful = False

    def look(self, pfn: int, pages: bytes | memoryview) -> None:
        """Takes in pages from a frame on; they may come in any order."""
        if self._kernel is None:
            self._add(pfn, 0, _names(pages))
            return
        self._add(pfn, 0, _at_page_starts(pages))
        end = pfn + (len(pages) >> PAGE_SHIFT)
        for first, last in self._kernel.within(pfn, end):
            low, high = first - pfn << PAGE_SHIFT, last - pfn << PAGE_SHIFT
            self._add(pfn, low, _names(pages[low:high]))

    def _add(self, pfn: int, low: int, names: list[int]) -> None:
        start = (pfn << PAGE_SHIFT) + low - _NAME_AT
        room = PLACES_LIMIT - len(self._places)
        self._places += [start + at for at in names[:room]]

    def text(self) -> bytes | None:
        """Returns the text of the note at the lowest address; None for none.

        That is among what was looked at since the last call.
        """
        places = self._places[self._read :]
        self._read += len(places)
        # A page of the kernel's may have been told by its start too.
        for physical in sorted(set(places)):
            text = _text(self._memory, physical)
            if text is not None:
                self.successful = True
                return text
        return None


class _Spans:
    """The frames of mappings as spans that neither overlap nor touch, in ascending order."""

    def __init__(self, mappings: Mappings) -> None:
        order = np.argsort(mappings.physical, kind="stable")
        firsts = mappings.first_frames[order]
        reach = np.maximum.accumulate(mappings.end_frames[order])
        begins = np.ones(len(order), np.bool_)
        begins[1:] = firsts[1:] > reach[:-1]
        starts = np.flatnonzero(begins)
        self._firsts = firsts[starts]
        self._ends = reach[np.append(starts[1:], len(order))[: len(starts)] - 1]

    def within(self, first: int, end: int) -> list[tuple[int, int]]:
        """Returns what of the spans lies between two frames: first, and the one after the last."""
        part = slice(
            np.searchsorted(self._ends, first, "right"), np.searchsorted(self._firsts, end)
        )
        firsts = np.maximum(self._firsts[part], first).tolist()
        return list(zip(firsts, np.minimum(self._ends[part], end).tolist(), strict=True))


def find_vmcoreinfo(memory: Memory) -> bytes | None:
    """Returns the text of the guest's VMCOREINFO; None where its kernel keeps none.

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
    """Returns the ELF note of a VMCOREINFO text."""
    return note(NAME, 0, text)


def checked(text: bytes) -> bytes:
    r"""Returns a text that a user has for VMCOREINFO.

    Raises Malformed for one that cannot be it, LimitExceeded for more than Linux makes.

    /sys/kernel/vmcoreinfo of Linux is none: it has the place of the note, and its size.

    >>> checked(b"OSRELEASE=6.1\nPAGESIZE=4096\n")
    b'OSRELEASE=6.1\nPAGESIZE=4096\n'
    >>> checked(b"1b6ce000 1024\n")
    Traceback (most recent call last):
    ...
    xensave.errors.Malformed: no VMCOREINFO, which is lines NAME=VALUE, one of OSRELEASE
    """
    if len(text) > TEXT_LIMIT:
        raise LimitExceeded(f"no VMCOREINFO, which is at most {TEXT_LIMIT:,} bytes of text")
    if not _plain(text) or not any(line.startswith(_START) for line in text.splitlines()):
        raise Malformed("no VMCOREINFO, which is lines NAME=VALUE, one of OSRELEASE")
    return text


def _plain(text: bytes) -> bool:
    return all(b"=" in line and line.isascii() for line in text.splitlines())


def _at_page_starts(pages: bytes | memoryview) -> list[int]:
    """Returns where in pages the name of a note lies that begins its page."""
    words = np.frombuffer(pages, "<u4")[_NAME_AT // _WORD :: PAGE_SIZE // _WORD]
    starts = np.flatnonzero(words == int.from_bytes(NAME[:_WORD], "little")) * PAGE_SIZE
    return [
        start + _NAME_AT
        for start in starts.tolist()
        if bytes(pages[start + _NAME_AT - _WORD : start + _HEADER.size]) == _KNOWN
    ]


def _names(pages: bytes | memoryview) -> list[int]:
    """Returns where in pages the name of a note may lie.

    What lies beyond the pages counts as right. The pages may lie at any address here: what is
    compared are whole words of this process, each with the part of the note that it would hold.
    """
    address: int = np.frombuffer(pages, np.uint8).__array_interface__["data"][0]
    skip = -address % _WORD
    words = np.frombuffer(pages, "<u4", (len(pages) - skip) // _WORD, skip)
    parts = [_KNOWN[at + skip : at + skip + _WORD] for at in range(0, len(_KNOWN) - _WORD, _WORD)]
    before, name, after = (int.from_bytes(part, "little") for part in parts)
    matches = words == name
    names: list[int] = []
    if matches.any():
        places = np.flatnonzero(matches)
        right = (places == 0) | (words[places - 1] == before)
        following = words[np.minimum(places + 1, len(words) - 1)]
        right &= (places == len(words) - 1) | (following == after)
        names = (places[right] * _WORD).tolist()
    if skip and pages[-_WORD:] == NAME[:_WORD]:
        # The word that tells it lies across the end.
        names.append(len(pages) - _WORD)
    return names


def _text(memory: Memory, physical: int) -> bytes | None:
    """Returns the text of the note at a physical address, None where it cannot be one."""
    if physical < 0:
        return None
    name_size, size, type_, name = _HEADER.unpack(memory.read(physical, _HEADER.size, zero=True))
    if (name_size, type_, name.rstrip(b"\0")) != (len(NAME) + 1, 0, NAME):
        return None
    if not 0 < size <= TEXT_LIMIT:
        return None
    text = memory.read(physical + _HEADER.size, size, zero=True).rstrip(b"\0")
    return text if text.startswith(_START) and _plain(text) else None
