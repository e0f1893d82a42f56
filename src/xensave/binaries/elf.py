"""The ELF file under a hypervisor reader: sections, symbols and bytes by address."""

from __future__ import annotations

from bisect import bisect_right
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from xensave.errors import Malformed, Unsupported

_MACHINE = "EM_X86_64"
_NO_SYMBOLS = (
    "no symbol table; give xen-syms (Xen's build leaves it beside xen.gz; distributions ship it "
    "in a debug package, such as Debian's xen-hypervisor-4.17-amd64-dbg)"
)
_ALLOCATED = 0x2
_EXECUTABLE = 0x4
_STRING_MAX = 256


class _Entry(Protocol):
    """A section or symbol as pyelftools gives it."""

    name: str

    def __getitem__(self, key: str) -> Any: ...  # noqa: ANN401 - pyelftools has no types


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


def _parse(data: bytes) -> tuple[list[BinarySection], list[Symbol]]:
    if data[:2] == b"MZ":
        raise Unsupported(
            "a PE image (xen.efi) has no ELF symbols; give the xen-syms of the same build"
        )
    if data[:4] != b"\x7fELF":
        raise Malformed(f"not an ELF file: it starts with {data[:4].hex(' ')!r}", offset=0)
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(BytesIO(data))
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
    return Symbol(entry.name, entry["st_value"], entry["st_size"], function)
