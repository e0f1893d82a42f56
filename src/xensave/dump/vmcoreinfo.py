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

_SIZES = struct.Struct("<II")
_NAME_SIZE = len(NAME) + 1
# The type, the name and how the text begins. A chance string has no sizes before it.
_NOTE = bytes(4) + NAME + bytes(2)
_NEEDLE = re.compile(re.escape(_NOTE + b"OSRELEASE="))


def find_vmcoreinfo(memory: Memory) -> bytes | None:
    """Return the text of the guest's VMCOREINFO; None where its kernel keeps none.

    All of memory is searched, but holes of the image.
    """
    for hit in search(memory, _NEEDLE):
        start = hit.physical - _SIZES.size
        if start < 0:
            continue
        name_size, size = _SIZES.unpack(memory.read(start, _SIZES.size, zero=True))
        if name_size == _NAME_SIZE:
            text = _text(memory, hit.physical + len(_NOTE), size)
            if text is not None:
                return text
    return None


def vmcoreinfo_note(text: bytes) -> bytes:
    """Return the ELF note of a VMCOREINFO text."""
    return note(NAME, 0, text)


def _text(memory: Memory, physical: int, size: int) -> bytes | None:
    """Return the text at a physical address, None where it cannot be one."""
    if not 0 < size <= TEXT_LIMIT:
        return None
    text = memory.read(physical, size, zero=True).rstrip(b"\0")
    lines = text.splitlines()
    return text if all(b"=" in line and line.isascii() for line in lines) else None
