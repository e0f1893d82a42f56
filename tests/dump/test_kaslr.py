"""A distribution's kernel that KASLR moved: direct map, VMCOREINFO, and drgn without a vmlinux."""

import io
import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from xensave import open as open_image
from xensave.dump import Format, extract
from xensave.dump.kernel_map import kernel_map
from xensave.dump.vmcoreinfo import find_vmcoreinfo

IMAGE = Path(__file__).parents[1] / "data" / "memory" / "kaslr.img.zst"

# As the kernel's console said, and as QEMU's registers had it.
KERNEL_OFFSET = 0x35200000
DIRECT_MAP = 0xFFFF8D7740000000
INIT_UTS_NS = 0xFFFFFFFFB7DF9B60


@pytest.fixture
def guest():
    with open_image(IMAGE) as image:
        yield image


def test_vmcoreinfo_is_found(guest):
    lines = find_vmcoreinfo(guest.memory).decode().splitlines()
    assert lines[0] == "OSRELEASE=6.1.0-56-cloud-amd64"
    assert f"KERNELOFFSET={KERNEL_OFFSET:x}" in lines
    assert f"SYMBOL(init_uts_ns)={INIT_UTS_NS:x}" in lines


def test_the_direct_map_is_that_of_the_page_tables(guest):
    found = kernel_map(guest)
    assert found.direct_map == DIRECT_MAP
    image_map = [run for run in found.others if run.virtual <= INIT_UTS_NS < run.virtual + run.size]
    assert len(image_map) == 1


def test_segments_are_where_the_kernel_has_them(guest, tmp_path):
    extract(guest, str(tmp_path / "elf"), Format.ELF)
    core = ELFFile(io.BytesIO((tmp_path / "elf").read_bytes()))
    physical = [each for each in core.iter_segments("PT_LOAD") if each["p_paddr"] < 1 << 52]
    assert all(each["p_vaddr"] - each["p_paddr"] == DIRECT_MAP for each in physical)
    # By the direct map and by the kernel's own address the same bytes.
    place = guest.vcpu(0).translate(INIT_UTS_NS).physical
    wanted = guest.memory.read(place, 64)
    for address in (INIT_UTS_NS, DIRECT_MAP + place):
        (segment,) = (
            each
            for each in core.iter_segments("PT_LOAD")
            if each["p_vaddr"] <= address < each["p_vaddr"] + each["p_memsz"]
        )
        at = address - segment["p_vaddr"]
        assert segment.data()[at : at + 64] == wanted


@pytest.mark.parametrize("source", ["image", "core"])
def test_drgn_needs_no_vmlinux(guest, source, tmp_path):
    drgn = pytest.importorskip("drgn")
    if source == "image":
        from xensave.drgn import program

        prog = program(guest)
    else:
        extract(guest, str(tmp_path / "elf"), Format.ELF)
        prog = drgn.Program()
        prog.set_core_dump(tmp_path / "elf")
    assert prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    names = re.findall(rb"[\w.-]+", prog.read(INIT_UTS_NS, 400))
    assert {b"Linux", b"6.1.0-56-cloud-amd64", b"x86_64"} <= set(names)
