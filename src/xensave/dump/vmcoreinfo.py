"""VMCOREINFO: what a Linux kernel says of itself to the tools that read its memory.

A kernel that can kdump (CONFIG_VMCORE_INFO, CONFIG_CRASH_CORE, CONFIG_KEXEC before) keeps an ELF
note of it ready in its memory: a header of three 32-bit words (name size 11, descriptor size,
type 0), the name and the text, each padded to 4 bytes.
"""

from __future__ import annotations

import re
import struct

from xensave.dump.elf_structs import note
from xensave.memory.physical import Memory
from xensave.memory.search import search

NAME = b"VMCOREINFO"
TEXT_LIMIT = 1 << 16
"""A longer text is none; kernels keep to a page."""

_HEADER = struct.Struct("<III")
_FRONT = _HEADER.size + 12
# The text begins with the release. A chance string has no header before it.
_NOTE = re.compile(
    rb"\x0b\x00\x00\x00..\x00\x00\x00\x00\x00\x00VMCOREINFO\x00\x00OSRELEASE=", re.DOTALL
)


def find_vmcoreinfo(memory: Memory) -> bytes | None:
    """Return the text of the guest's VMCOREINFO; None where its kernel keeps none.

    All of memory is searched, but holes of the image.
    """
    for hit in search(memory, _NOTE):
        _, size, _ = _HEADER.unpack_from(hit.data)
        text = _text(memory, hit.physical, size)
        if text is not None:
            return text
    return None


def vmcoreinfo_note(text: bytes) -> bytes:
    """Return the ELF note of a VMCOREINFO text."""
    return note(NAME, 0, text)


def _text(memory: Memory, physical: int, size: int) -> bytes | None:
    """Return the text of a note at a physical address, None where it cannot be one."""
    if not 0 < size <= TEXT_LIMIT:
        return None
    text = memory.read(physical + _FRONT, size, zero=True).rstrip(b"\0")
    lines = text.splitlines()
    return text if all(b"=" in line and line.isascii() for line in lines) else None
