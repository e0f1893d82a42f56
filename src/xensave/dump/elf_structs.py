"""What ELF64 files are made of: header, program headers, section headers, notes.

Source: System V ABI, chapters 4 and 5; elf.h.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

EHDR_SIZE = 64
PHDR_SIZE = 56
SHDR_SIZE = 64

ET_CORE = 4
EM_X86_64 = 62
PT_LOAD = 1
PT_NOTE = 4
PF_X, PF_W, PF_R = 1, 2, 4
SHT_NULL, SHT_PROGBITS, SHT_STRTAB, SHT_NOTE = 0, 1, 3, 7

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_NHDR = struct.Struct("<III")
# ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_SYSV; EI_ABIVERSION is the caller's.
_IDENT = b"\x7fELF\x02\x01\x01\x00"


class Segment(NamedTuple):
    """A program header; `align` 0 says that nothing is aligned."""

    type: int
    flags: int
    offset: int
    virtual: int
    physical: int
    size: int
    align: int = 0

    def to_bytes(self) -> bytes:
        """Returns the 56 bytes; size in the file and in memory are the same."""
        return _PHDR.pack(
            self.type,
            self.flags,
            self.offset,
            self.virtual,
            self.physical,
            self.size,
            self.size,
            self.align,
        )


class Section(NamedTuple):
    """A section header, its name as an offset in the string table."""

    name: int
    type: int
    offset: int
    size: int
    align: int = 0
    entry_size: int = 0

    def to_bytes(self) -> bytes:
        """Returns the 64 bytes."""
        return _SHDR.pack(
            self.name, self.type, 0, 0, self.offset, self.size, 0, 0, self.align, self.entry_size
        )


def header(*, segments: int = 0, sections: int = 0, names: int = 0, abi_version: int = 0) -> bytes:
    """Returns the header of a core file: program headers, then section headers, follow it.

    `names` is the number of the section that holds the names of sections.
    """
    return _EHDR.pack(
        (_IDENT + bytes([abi_version])).ljust(16, b"\0"),
        ET_CORE,
        EM_X86_64,
        1,
        0,
        EHDR_SIZE if segments else 0,
        EHDR_SIZE + segments * PHDR_SIZE if sections else 0,
        0,
        EHDR_SIZE,
        PHDR_SIZE,
        segments,
        SHDR_SIZE if sections else 0,
        sections,
        names,
    )


def note(name: bytes, type_: int, descriptor: bytes) -> bytes:
    r"""Returns a note: its header, name and descriptor, each padded to 4 bytes.

    >>> note(b"Xen", 1, b"abc")[:12].hex(), note(b"Xen", 1, b"abc")[12:]
    ('040000000300000001000000', b'Xen\x00abc\x00')
    """
    named = name + b"\0"
    return _NHDR.pack(len(named), len(descriptor), type_) + _padded(named) + _padded(descriptor)


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")
