"""A Linux kernel as an ELF file (vmlinux), and the VMCOREINFO that it would have in a guest.

A kernel without kdump keeps no VMCOREINFO in memory. Its file tells what that would say, but for
where this boot put it (KASLR): that is told by where the guest's page tables map its banner.
"""

from __future__ import annotations

import re
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xensave.binaries.elf import ElfFile, contents, damage, elf_file
from xensave.dump.kernel_map import kernel_spaces
from xensave.errors import Malformed, MissingExtra, SourceError, Unsupported, UsageError
from xensave.image import Image
from xensave.memory.address_space import AddressSpace
from xensave.memory.paging import FIVE_LEVEL, NotMapped
from xensave.memory.physical import AbsentPage

KERNEL_MAP = 0xFFFFFFFF80000000
"""__START_KERNEL_map: where an x86-64 kernel's image is linked (arch/x86/include/asm)."""

KASLR_STEP = 1 << 21
KASLR_STEPS = 512
"""KASLR moves the image by whole 2 MiB (CONFIG_PHYSICAL_ALIGN at least), within 1 GiB."""

_PREFIX = b"Linux version "
_BANNER_LIMIT = 512
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2"), ("value", "<u8"),
     ("size", "<u8")]
)  # fmt: skip


class KernelFile(NamedTuple):
    """What a kernel's file tells: its banner and where that lies, its root table, its build."""

    banner: bytes
    banner_address: int
    root_table: int
    build_id: str | None

    @property
    def release(self) -> str:
        """The kernel's release: "6.1.0-56-cloud-amd64"."""
        return self.banner[len(_PREFIX) :].split(b" ", 1)[0].decode("ascii", "replace")


class KernelPlace(NamedTuple):
    """Where a boot put a kernel: `offset` from its link address, `base` added to physical ones."""

    offset: int
    base: int


def read_kernel(path: str) -> KernelFile:
    """Reads a vmlinux.

    Raises SourceError, Malformed, Unsupported for another machine's, UsageError without pyelftools.
    """
    try:
        import elftools  # noqa: F401 - better known before the file is opened
    except ImportError as error:
        raise MissingExtra("reading a vmlinux", "pyelftools", "drgn") from error
    try:
        # Of a map no more comes than the file has, whatever length a section claims.
        with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            elf = elf_file(data)
            if elf.elfclass != 64 or elf["e_machine"] != "EM_X86_64":
                raise Unsupported("no x86-64 kernel").about(path)
            address = _symbol(elf, data, "linux_banner")
            root = _symbol(elf, data, "swapper_pg_dir") or _symbol(elf, data, "init_top_pgt")
            banner = _text(elf, data, address) if address else b""
            build_id = _build_id(elf)
    except OSError as error:
        raise SourceError(str(error.strerror)).about(path) from error
    except Malformed as error:
        raise Malformed(f"no kernel as an ELF file: {error.message}").about(path) from error
    except damage() as error:
        raise Malformed(f"no kernel as an ELF file: {error}").about(path) from error
    if not address or not root or not banner.startswith(_PREFIX):
        raise Malformed("no Linux kernel with symbols (a vmlinux, not a bzImage)").about(path)
    return KernelFile(banner, address, root, build_id)


def place_of(kernel: KernelFile, image: Image) -> KernelPlace:
    """Returns where a guest's boot put its kernel.

    Raises UsageError where no vCPU's page tables map that very kernel's banner.
    """
    for space in kernel_spaces(image):
        for step in range(KASLR_STEPS):
            offset = step * KASLR_STEP
            if _reads(space, kernel.banner_address + offset, kernel.banner):
                virtual = kernel.banner_address + offset
                physical = space.translate(virtual).physical
                return KernelPlace(offset, physical - (virtual - KERNEL_MAP))
    raise UsageError(
        f"no vCPU of the guest maps the banner of that kernel ({kernel.release}): another kernel?"
    )


def vmcoreinfo_of(kernel: KernelFile, image: Image) -> bytes:
    """Returns the VMCOREINFO that the kernel would have in this guest."""
    place = place_of(kernel, image)
    five = any(image.vcpu(number).mode is FIVE_LEVEL for number in image.vcpu_numbers)
    lines = [
        f"OSRELEASE={kernel.release}",
        "PAGESIZE=4096",
        f"SYMBOL(swapper_pg_dir)={kernel.root_table + place.offset:x}",
        f"KERNELOFFSET={place.offset:x}",
        f"NUMBER(phys_base)={place.base}",
        f"NUMBER(pgtable_l5_enabled)={int(five)}",
    ]
    if kernel.build_id is not None:
        lines.append(f"BUILD-ID={kernel.build_id}")
    return "".join(f"{line}\n" for line in lines).encode()


def _reads(space: AddressSpace, virtual: int, wanted: bytes) -> bool:
    try:
        return space.read(virtual, len(wanted)) == wanted
    except (NotMapped, AbsentPage):
        return False


def _symbol(elf: ElfFile, data: mmap, name: str) -> int:
    """Returns a symbol's address, 0 for none; a kernel has too many to make objects of all."""
    table = elf.get_section_by_name(".symtab")
    if table is None:
        return 0
    names = contents(elf.get_section(table["sh_link"]), data)
    symbols = np.frombuffer(contents(table, data), _SYMBOL)
    # A name may be the end of a longer one; symbols share such tails.
    places = [match.start() for match in re.finditer(re.escape(name.encode()) + b"\0", names)]
    named = np.isin(symbols["name"], places) & (symbols["shndx"] != 0)
    values = symbols["value"][named]
    return int(values[0]) if len(values) else 0


def _text(elf: ElfFile, data: mmap, address: int) -> bytes:
    for section in elf.iter_sections():
        start = section["sh_addr"]
        if start <= address < start + section["sh_size"] and section["sh_type"] != "SHT_NOBITS":
            at = address - start
            return contents(section, data)[at : at + _BANNER_LIMIT].split(b"\0", 1)[0]
    return b""


def _build_id(elf: ElfFile) -> str | None:
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_NOTE":
            for note in section.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU":
                    return str(note["n_desc"])
    return None
