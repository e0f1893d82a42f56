"""A distribution's kernel that KASLR moved: direct map, VMCOREINFO, and drgn without a vmlinux."""

import io
import re
import struct
from typing import NamedTuple

import pytest
from elftools.elf.elffile import ELFFile

from tests.memory import samples
from xensave import open as open_image
from xensave.dump import DumpFormat, extract, vmcoreinfo
from xensave.dump.kernel_file import KERNEL_MAP
from xensave.dump.kernel_map import kernel_map
from xensave.dump.vmcoreinfo import find_vmcoreinfo
from xensave.testing.streams import libxc_stream, page_data

KERNEL_MAP_TEXT = 0x1000000
"""Where the kernel is linked, beyond __START_KERNEL_map (CONFIG_PHYSICAL_START)."""


class Boot(NamedTuple):
    """What a guest's kernel said of itself: its console, or its /proc and /sys."""

    image: str
    kernel_offset: int
    physical: int
    direct_map: int
    init_uts_ns: int


BOOTS = {
    # Plain QEMU: "Kernel Offset" of its panic; info registers; pmemsave.
    "qemu": Boot("kaslr.img.zst", 0x35200000, 0, 0xFFFF8D7740000000, 0xFFFFFFFFB7DF9B60),
    # A PVH guest of Xen 4.17.7: /proc/kallsyms, /proc/iomem and the segments of /proc/kcore.
    "pvh": Boot("pvh-kaslr.img.zst", 0xE600000, 0x4600000, 0xFFFF8BBA00000000, 0xFFFFFFFF911F9B60),
    # An HVM guest of the same, likewise.
    "hvm": Boot("hvm-kaslr.img.zst", 0x25000000, 0x4C00000, 0xFFFF8A7D40000000, 0xFFFFFFFFA7BF9B60),
    # And with two vCPUs, a large MMIO hole, and VMCOREINFO in memory above 4 GiB.
    "hole": Boot("hvm-hole.img.zst", 0x18800000, 0x5C00000, 0xFFFF8C83C0000000, 0xFFFFFFFF9B3F9B60),
}


@pytest.fixture(params=BOOTS)
def boot(request):
    return BOOTS[request.param]


@pytest.fixture
def guest(boot):
    with samples.pair_image(boot.image) as image:
        yield image


def test_vmcoreinfo_is_found(guest, boot):
    lines = find_vmcoreinfo(guest.memory).decode().splitlines()
    assert lines[0] == "OSRELEASE=6.1.0-56-cloud-amd64"
    assert f"KERNELOFFSET={boot.kernel_offset:x}" in lines
    assert f"SYMBOL(init_uts_ns)={boot.init_uts_ns:x}" in lines


def test_what_only_looks_like_vmcoreinfo_is_read_once(monkeypatch):
    decoy = struct.pack("<III12s", 11, 8, 0, b"VMCOREINFO").ljust(4096, b"\0")
    read = []
    monkeypatch.setattr(vmcoreinfo, "PLACES_LIMIT", 700)
    monkeypatch.setattr(vmcoreinfo, "_text", lambda memory, physical: read.append(physical))
    stream = libxc_stream(page_data(range(600), decoy) + page_data(range(600, 900), decoy))
    with open_image(stream) as image:
        assert find_vmcoreinfo(image.memory) is None
    assert read == [pfn * 4096 for pfn in range(700)]


def test_the_direct_map_is_that_of_the_page_tables(guest, boot):
    found = kernel_map(guest)
    assert found.direct_map == boot.direct_map
    image_map = [
        run for run in found.others if run.virtual <= boot.init_uts_ns < run.virtual + run.size
    ]
    assert len(image_map) == 1


def test_the_kernel_is_where_it_says(guest, boot):
    """Its text by the page tables, and what VMCOREINFO says is added to a physical address."""
    text = KERNEL_MAP + KERNEL_MAP_TEXT + boot.kernel_offset
    physical = guest.vcpu(0).kernel_space.translate(text).physical
    assert boot.physical in {0, physical}
    lines = find_vmcoreinfo(guest.memory).decode().splitlines()
    assert f"NUMBER(phys_base)={physical - (text - KERNEL_MAP)}" in lines


def test_segments_are_where_the_kernel_has_them(guest, boot, tmp_path):
    extract(guest, str(tmp_path / "elf"), DumpFormat.ELF)
    core = ELFFile(io.BytesIO((tmp_path / "elf").read_bytes()))
    physical = [each for each in core.iter_segments("PT_LOAD") if each["p_paddr"] < 1 << 52]
    assert all(each["p_vaddr"] - each["p_paddr"] == boot.direct_map for each in physical)
    # By the direct map and by the kernel's own address the same bytes.
    place = guest.vcpu(0).translate(boot.init_uts_ns).physical
    wanted = guest.memory.read(place, 64)
    for address in (boot.init_uts_ns, boot.direct_map + place):
        (segment,) = (
            each
            for each in core.iter_segments("PT_LOAD")
            if each["p_vaddr"] <= address < each["p_vaddr"] + each["p_memsz"]
        )
        at = address - segment["p_vaddr"]
        assert segment.data()[at : at + 64] == wanted


@pytest.mark.parametrize("source", ["image", "core"])
def test_drgn_needs_no_vmlinux(guest, boot, source, tmp_path):
    drgn = pytest.importorskip("drgn")
    if source == "image":
        from xensave.drgn import program

        prog = program(guest)
    else:
        extract(guest, str(tmp_path / "elf"), DumpFormat.ELF)
        prog = drgn.Program()
        prog.set_core_dump(tmp_path / "elf")
    assert prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    names = re.findall(rb"[\w.-]+", prog.read(boot.init_uts_ns, 400))
    assert {b"Linux", b"6.1.0-56-cloud-amd64", b"x86_64"} <= set(names)
