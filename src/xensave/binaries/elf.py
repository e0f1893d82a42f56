"""The ELF file under a hypervisor reader: sections, symbols and bytes by address."""

from __future__ import annotations

import struct
from bisect import bisect_right
from io import BytesIO
from mmap import mmap
from typing import Any, NamedTuple, Protocol

from xensave.errors import Malformed, Unsupported

_MACHINE = "EM_X86_64"
_NO_SYMBOLS = (
    "no symbol table; give xen-syms (Xen's build leaves it beside xen.gz; distributions ship it "
    "in a debug package, such as Debian's xen-hypervisor-4.17-amd64-dbg)"
)
_ALLOCATED = 0x2
_EXECUTABLE = 0x4
_COMPRESSED = 0x800
_STRING_MAX = 256

SECTIONS_LIMIT = 4096
"""Sections of an ELF file: xen-syms has some 40, a vmlinux 100."""

NAME_LIMIT = 4096
"""Characters in a symbol's name; what points into one long text would be a copy of it each time."""

_HEADER = struct.Struct("<40xQ10xHHH")
"""Of an ELF64 header: e_shoff, e_shentsize, e_shnum, e_shstrndx."""

_SECTION = struct.Struct("<4xI16x2Q24x")
"""Of an ELF64 section header: sh_type, sh_offset, sh_size."""

_NOBITS = 8


class _Entry(Protocol):
    """A section or symbol as pyelftools gives it."""

    name: str

    def __getitem__(self, key: str) -> Any: ...  # noqa: ANN401 - pyelftools has no types


class ElfFile(Protocol):
    """An ELF file as pyelftools gives it, whose sections have no types."""

    elfclass: int
    little_endian: bool

    def __getitem__(self, key: str) -> Any: ...  # noqa: ANN401

    def get_section_by_name(self, name: str) -> Any:  # noqa: ANN401
        """Returns a section, None where none has that name."""

    def get_section(self, n: int) -> Any:  # noqa: ANN401
        """Returns a section by its number."""

    def iter_sections(self) -> Any:  # noqa: ANN401
        """Yields the sections."""


class BinarySection(NamedTuple):
    """A loaded section: `data` is empty for one without bytes in the file (.bss)."""

    name: str
    address: int
    size: int
    data: bytes
    code: bool


class Symbol(NamedTuple):
    """A symbol: its virtual address, its size in bytes, and whether it is a function's."""

    name: str
    address: int
    size: int
    function: bool


class Binary:
    """An x86-64 ELF file with symbols.

    >>> Binary(b"MZ")
    Traceback (most recent call last):
      ...
    xensave.errors.Unsupported: a PE image (xen.efi) has no ELF symbols; give the xen-syms of the \
same build
    """

    def __init__(self, data: bytes) -> None:
        self.sections, symbols = _parse(data)
        self.symbols: dict[str, list[Symbol]] = {}
        for symbol in symbols:
            self.symbols.setdefault(symbol.name, []).append(symbol)
        self._functions = sorted((s for s in symbols if s.function), key=lambda s: s.address)
        self._starts = [symbol.address for symbol in self._functions]

    def symbol(self, name: str) -> Symbol | None:
        """Returns the symbol of that name, None where there is none; the first where several."""
        return self.symbols.get(name, [None])[0]

    def section_at(self, address: int) -> BinarySection | None:
        """Returns the section that holds an address."""
        for section in self.sections:
            if section.address <= address < section.address + section.size:
                return section
        return None

    def code_at(self, address: int, size: int) -> bytes:
        """Returns up to `size` bytes of code from an address; b"" where there is no code."""
        section = self.section_at(address)
        if section is None or not section.code:
            return b""
        start = address - section.address
        return section.data[start : start + size]

    def string(self, address: int) -> str | None:
        """Returns the NUL-terminated ASCII string at an address; None where none stands there."""
        section = self.section_at(address)
        if section is None:
            return None
        start = address - section.address
        text, end, _ = section.data[start : start + _STRING_MAX].partition(b"\0")
        return text.decode("ascii") if end and text.isascii() else None

    def function_at(self, address: int) -> Symbol | None:
        """Returns the function that an address lies in."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        symbol = self._functions[at]
        inside = address < symbol.address + max(symbol.size, 1)
        return symbol if inside or not symbol.size else None

    def name_at(self, address: int) -> str:
        """Returns the name of the function that starts at an address, "" where none does."""
        symbol = self.function_at(address)
        return symbol.name if symbol and symbol.address == address else ""


def damage() -> tuple[type[Exception], ...]:
    """Returns what pyelftools raises for a damaged file; each means a bad header or table."""
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError

    known = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
    return (ELFError, ConstructError, *known)


def elf_file(data: bytes | mmap) -> ElfFile:
    """Returns an x86-64 ELF file whose sections lie in it, once each: what is read has its size.

    Raises Malformed for other sections, Unsupported for other machines, and what `damage` names.
    """
    from elftools.elf.elffile import ELFFile

    elf: ElfFile = ELFFile(data if isinstance(data, mmap) else BytesIO(data))
    if elf.elfclass == 64 and elf.little_endian and elf["e_machine"] == _MACHINE:
        _check_sections(data)
    return elf


def _check_sections(data: bytes | mmap) -> None:
    """Refuses sections that are too many, or more than the file has; .bss takes nothing of it."""
    table, step, count, _ = _HEADER.unpack_from(data)
    if not table:
        return
    if table + _SECTION.size > len(data):
        raise Malformed("an ELF file whose table of sections is cut off")
    if not count:
        # More than 0xff00 sections: the first one's size says how many.
        count = _SECTION.unpack_from(data, table)[2]
    if count > SECTIONS_LIMIT:
        raise Malformed(f"an ELF file of {count:,} sections, the limit is {SECTIONS_LIMIT:,}")
    if step != _SECTION.size or table + count * step > len(data):
        raise Malformed("an ELF file whose table of sections is damaged or cut off")
    rows = (_SECTION.unpack_from(data, table + step * number) for number in range(count))
    if sum(size for kind, _, size in rows if kind != _NOBITS) > len(data):
        raise Malformed("an ELF file whose sections claim more bytes than it has")


def contents(section: _Entry, data: bytes | mmap) -> bytes:
    """Returns a section's bytes as they stand in the file.

    Raises Malformed for a compressed one, and for one without bytes: only debug data is such.
    """
    if section["sh_flags"] & _COMPRESSED or section["sh_type"] == "SHT_NOBITS":
        raise Malformed(f"section {section.name!r} has no bytes of its own in the file")
    return data[section["sh_offset"] : section["sh_offset"] + section["sh_size"]]


def _parse(data: bytes) -> tuple[list[BinarySection], list[Symbol]]:
    if data[:2] == b"MZ":
        raise Unsupported(
            "a PE image (xen.efi) has no ELF symbols; give the xen-syms of the same build"
        )
    if data[:4] != b"\x7fELF":
        raise Malformed(f"not an ELF file: it starts with {data[:4].hex(' ')!r}", offset=0)
    try:
        elf = elf_file(data)
        _check_kind(elf.elfclass, elf.little_endian, elf["e_machine"], elf["e_type"])
        sections = [_section(entry, data) for entry in elf.iter_sections() if _loaded(entry)]
        table = elf.get_section_by_name(".symtab")
        if table is None:
            raise Malformed(_NO_SYMBOLS)
        symbols = [_symbol(entry) for entry in table.iter_symbols() if entry["st_value"]]
    except damage() as error:
        raise Malformed(f"a damaged ELF file: {error or type(error).__name__}") from error
    if not any(symbol.function for symbol in symbols):
        raise Malformed(_NO_SYMBOLS)
    return sections, symbols


def _check_kind(bits: int, little_endian: bool, machine: str, kind: str) -> None:
    if bits != 64 or not little_endian or machine != _MACHINE:
        raise Unsupported(
            f"a {bits}-bit {machine} ELF file: only x86-64 hypervisors are read; the bootable xen "
            "is wrapped in 32-bit ELF without symbols, so give the xen-syms of the same build"
        )
    if kind not in ("ET_EXEC", "ET_DYN"):
        raise Unsupported(f"an ELF file of type {kind}: it must be linked (xen-syms)")


def _loaded(entry: _Entry) -> bool:
    return bool(entry["sh_flags"] & _ALLOCATED and entry["sh_addr"])


def _section(entry: _Entry, data: bytes) -> BinarySection:
    start, size = entry["sh_offset"], entry["sh_size"]
    bare = entry["sh_type"] == "SHT_NOBITS"
    if not bare and start + size > len(data):
        raise Malformed(
            f"section {entry.name!r} claims {size} bytes, past the file's end", offset=start
        )
    if entry["sh_addr"] + size > 1 << 64:
        raise Malformed(f"section {entry.name!r} reaches past the last address", offset=start)
    section = b"" if bare else data[start : start + size]
    return BinarySection(
        entry.name, entry["sh_addr"], size, section, bool(entry["sh_flags"] & _EXECUTABLE)
    )


def _symbol(entry: _Entry) -> Symbol:
    function = entry["st_info"]["type"] == "STT_FUNC"
    if len(entry.name) > NAME_LIMIT:
        raise Malformed(f"a symbol's name of {len(entry.name):,} characters")
    return Symbol(entry.name, entry["st_value"], entry["st_size"], function)
