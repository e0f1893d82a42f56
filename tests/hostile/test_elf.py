"""ELF files whose sections lie: a hypervisor and a kernel with numbers that make a reader work."""

import struct
import subprocess
import zlib
from shutil import which

import pytest

pytest.importorskip("elftools", reason="ELF files are read by pyelftools")

from xensave.binaries.elf import NAME_LIMIT, SECTIONS_LIMIT, Binary
from xensave.dump.kernel_file import read_kernel
from xensave.errors import Malformed

SECTION = struct.Struct("<2I4Q2I2Q")
SYMBOL = struct.Struct("<IBBHQQ")
BANNER = b"Linux version 6.1 (x)\0"
NULL, PROGBITS, SYMTAB, STRTAB, NOBITS = 0, 1, 2, 3, 8
NAMES = b"\0.symtab\0.strtab\0.text\0"
STRINGS = b"\0linux_banner\0init_top_pgt\0"
TEXT, SYMBOLS, TEXTS = 1, 2, 3
ADDRESS = 0xFFFFFFFF81000000


def section(name, kind, data=b"", *, flags=0, address=0, link=0, entry=0, size=None):
    return {"name": name, "kind": kind, "data": data, "flags": flags, "address": address,
            "link": link, "entry": entry, "size": len(data) if size is None else size}  # fmt: skip


def sections():
    symbols = SYMBOL.pack(0, 0, 0, 0, 0, 0)
    symbols += SYMBOL.pack(1, 2, 0, 1, ADDRESS, 8) + SYMBOL.pack(14, 2, 0, 1, ADDRESS + 64, 8)
    return [
        section(0, NULL),
        section(17, PROGBITS, BANNER.ljust(128, b"\0"), flags=6, address=ADDRESS),
        section(1, SYMTAB, symbols, link=TEXTS, entry=24),
        section(9, STRTAB, STRINGS),
        section(9, STRTAB, NAMES),
    ]


def elf(parts, *, step=64, count=None, names=4, tail=b""):
    body, rows = b"", b""
    for part in parts:
        offset = part.get("offset", 64 + len(body))
        rows += SECTION.pack(
            part["name"], part["kind"], part["flags"], part["address"], offset, part["size"],
            part["link"], 0, 1, part["entry"],
        )  # fmt: skip
        body += part["data"]
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, step,
        len(parts) if count is None else count, names,
    )  # fmt: skip
    return header + body + rows + tail


def changed(number, **values):
    parts = sections()
    parts[number] |= values
    return parts


def compressed(number):
    parts = sections()
    data = parts[number]["data"]
    packed = struct.pack("<IIQQ", 1, 0, len(data), 1) + zlib.compress(data)
    return changed(number, data=packed, size=len(packed), flags=parts[number]["flags"] | 0x800)


HOSTILE = {
    "no room in the table's step": elf(sections(), step=0),
    "more sections than a count holds": elf(changed(0, size=1 << 60), count=0),
    "sections that overlap": elf(sections() + [section(0, PROGBITS, size=500) | {"offset": 0}] * 9),
    "a section longer than the file": elf(changed(SYMBOLS, size=1 << 40)),
    "symbols without bytes": elf(changed(SYMBOLS, kind=NOBITS, size=24 << 30)),
    "names without bytes": elf(changed(TEXTS, kind=NOBITS, size=1 << 50)),
    "symbols in a table beyond the file": elf(sections())[:-100],
}


def test_they_are_well_formed_but_for_what_is_said(tmp_path):
    data = elf(sections())
    assert list(Binary(data).symbols) == ["linux_banner", "init_top_pgt"]
    path = tmp_path / "vmlinux"
    path.write_bytes(data)
    kernel = read_kernel(str(path))
    assert (kernel.release, kernel.root_table) == ("6.1", ADDRESS + 64)
    if which("readelf"):
        shown = subprocess.run(["readelf", "-SsW", path], capture_output=True, check=True)
        assert b"init_top_pgt" in shown.stdout


@pytest.mark.parametrize("what", HOSTILE)
def test_sections_that_lie(what, tmp_path):
    data = HOSTILE[what]
    path = tmp_path / "vmlinux"
    path.write_bytes(data)
    with pytest.raises(Malformed):
        read_kernel(str(path))
    if what != "names without bytes":
        # pyelftools reads a hypervisor's names one by one, from where they would lie.
        with pytest.raises(Malformed):
            Binary(data)


def test_too_many_sections(tmp_path):
    parts = sections() + [section(0, PROGBITS)] * SECTIONS_LIMIT
    with pytest.raises(Malformed, match="sections, the limit is"):
        Binary(elf(parts))


@pytest.mark.parametrize("number", [TEXT, SYMBOLS, TEXTS])
def test_compressed_sections_are_not_unfolded(number, tmp_path, monkeypatch):
    monkeypatch.setattr("elftools.elf.sections.zlib.decompressobj", None)
    path = tmp_path / "vmlinux"
    path.write_bytes(elf(compressed(number)))
    with pytest.raises(Malformed, match=r"no bytes of its own|a multiple of entry size"):
        read_kernel(str(path))


def test_many_symbols_that_share_a_long_name():
    parts = sections()
    parts[TEXTS] |= {"data": b"\0" + b"x" * (NAME_LIMIT + 1) + b"\0", "size": NAME_LIMIT + 3}
    with pytest.raises(Malformed, match="a symbol's name of 4,097 characters"):
        Binary(elf(parts))


def test_a_name_that_stands_often(tmp_path, monkeypatch):
    """Of names and symbols each is looked at so often: not each name with each symbol."""
    parts = sections()
    many = STRINGS + b"linux_banner\0" * 2000
    parts[TEXTS] |= {"data": many, "size": len(many)}
    parts[SYMBOLS]["data"] = parts[SYMBOLS]["data"].replace(
        SYMBOL.pack(1, 2, 0, 1, ADDRESS, 8), SYMBOL.pack(len(many) - 13, 2, 0, 1, ADDRESS, 8)
    )
    path = tmp_path / "vmlinux"
    path.write_bytes(elf(parts))
    assert read_kernel(str(path)).banner_address == ADDRESS
