"""Virtual addresses: every mode of tables made by hand, and those of real kernels."""

import struct

import pytest

from tests.memory import samples
from tests.memory.samples import memory, record
from xensave.context import AbsentRecord
from xensave.memory import AddressSpace, NotMapped, Registers, paging
from xensave.memory.paging import paging_mode

P, W, U, PS, NX = 1, 2, 4, 0x80, 1 << 63
PAGE = 4096


def table(entries, size=8):
    """A page of entries by number."""
    data = bytearray(PAGE)
    for number, entry in entries.items():
        struct.pack_into("<Q" if size == 8 else "<I", data, number * size, entry)
    return bytes(data)


def space(mode, pages, cr3=0x1000):
    pages = {**pages, 0x50: b"target".ljust(PAGE, b".")}
    return AddressSpace(memory(record(*sorted(pages.items()))), mode, cr3)


CASES = {
    # name: mode, pages, cr3, virtual address, physical address, size of the page
    "2-level": (
        paging.TWO_LEVEL,
        {1: table({0x300: 0x2000 | P | W}, 4), 2: table({0x123: 0x50000 | P}, 4)},
        0x1000,
        0xC0123004,
        0x50004,
        PAGE,
    ),
    "2-level, 4 MiB": (
        paging.TWO_LEVEL_PSE,
        {1: table({0x300: 0x00400000 | PS | P}, 4)},
        0x1000,
        0xC0123004,
        0x00523004,
        4 << 20,
    ),
    "2-level, 4 MiB above 4 GiB (PSE-36)": (
        paging.TWO_LEVEL_PSE,
        {1: table({0x300: 0x00400000 | 3 << 13 | PS | P}, 4)},
        0x1000,
        0xC0123004,
        0x3_00523004,
        4 << 20,
    ),
    "PAE": (
        paging.PAE,
        {
            1: bytes(0x60) + table({3: 0x2000 | P})[: PAGE - 0x60],
            2: table({1: 0x3000 | P | W}),
            3: table({0x123: 0x50000 | P | NX}),
        },
        0x1060,
        0xC0323004,
        0x50004,
        PAGE,
    ),
    "PAE, 2 MiB": (
        paging.PAE,
        {1: table({3: 0x2000 | P}), 2: table({1: 0x1_00200000 | PS | P})},
        0x1000,
        0xC0323004,
        0x1_00323004,
        2 << 20,
    ),
    "4-level": (
        paging.FOUR_LEVEL,
        {
            1: table({0x111: 0x2000 | P}),
            2: table({2: 0x3000 | P}),
            3: table({3: 0x4000 | P}),
            4: table({4: 0x50000 | P}),
        },
        0x1FFF,
        0xFFFF888080604004,
        0x50004,
        PAGE,
    ),
    "4-level, 1 GiB": (
        paging.FOUR_LEVEL,
        {1: table({0x111: 0x2000 | P}), 2: table({2: 0x2_40000000 | 0x1000 | PS | P})},
        0x1000,
        0xFFFF888080604004,
        0x2_40604004,
        1 << 30,
    ),
    "5-level": (
        paging.FIVE_LEVEL,
        {
            1: table({0x110: 0x2000 | P}),
            2: table({0x111: 0x3000 | P}),
            3: table({2: 0x4000 | P}),
            4: table({3: 0x5000 | P}),
            5: table({4: 0x50000 | P}),
        },
        0x1000,
        0xFF10888080604004,
        0x50004,
        PAGE,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestModes:
    def test_translate(self, case):
        mode, pages, cr3, virtual, physical, size = case
        found = space(mode, pages, cr3).translate(virtual)
        assert (hex(found.physical), found.size) == (hex(physical), size)

    def test_read(self, case):
        mode, pages, cr3, virtual, physical, _ = case
        if physical == 0x50004:
            assert space(mode, pages, cr3).read(virtual, 2) == b"et"

    def test_listing_agrees_with_the_walk(self, case):
        mode, pages, cr3, virtual, physical, size = case
        (found,) = space(mode, pages, cr3).mappings()
        assert found.size == size
        assert found.virtual <= virtual < found.virtual + size
        assert found.physical + virtual - found.virtual == physical

    def test_each_level_can_be_missing(self, case):
        mode, pages, cr3, virtual, *_ = case
        names = [level.name for level in mode.levels][: len(pages)]
        for number, name in zip(sorted(pages), names, strict=True):
            cut = {**pages, number: bytes(PAGE)}
            with pytest.raises(NotMapped, match=rf"{name}\[\d+\] is 0x0, not present") as caught:
                space(mode, cut, cr3).translate(virtual)
            assert (caught.value.level, caught.value.entry) == (name, 0)


def test_permissions_are_those_of_all_levels():
    mode, pages, cr3, virtual, *_ = CASES["4-level"]
    assert not space(mode, pages, cr3).translate(virtual).writable
    rights = {
        number: table({at: int.from_bytes(data[at * 8 : at * 8 + 8], "little") | W | U})
        for (number, data), at in zip(pages.items(), (0x111, 2, 3, 4), strict=True)
    }
    found = space(mode, rights, cr3).translate(virtual)
    assert (found.writable, found.user, found.executable) == (True, True, True)


def test_an_address_that_is_not_canonical():
    mode, pages, cr3, *_ = CASES["4-level"]
    with pytest.raises(NotMapped, match="no address of 48 bits"):
        space(mode, pages, cr3).translate(0x0000_8880_0000_0000)


def test_a_table_that_is_not_in_the_image():
    with pytest.raises(NotMapped, match="PDPT at 0x70000 is not in the image"):
        space(paging.FOUR_LEVEL, {1: table({0: 0x70000 | P})}).translate(0)


def test_tables_that_name_themselves_are_bounded():
    loop = {1: table(dict.fromkeys(range(512), 0x1000 | P))}
    from xensave.errors import LimitExceeded

    with pytest.raises(LimitExceeded, match="tables"):
        for _ in space(paging.FOUR_LEVEL, loop).mappings():
            pass


@pytest.mark.parametrize(
    ("registers", "mode"),
    [
        (Registers(), paging.NO_PAGING),
        (Registers(cr0=1 << 31), paging.TWO_LEVEL),
        (Registers(cr0=1 << 31, cr4=1 << 4), paging.TWO_LEVEL_PSE),
        (Registers(cr0=1 << 31, cr4=3 << 4), paging.PAE),
        (Registers(cr0=1 << 31, cr4=1 << 5, efer=1 << 8), paging.PAE),
        (Registers(cr0=1 << 31, cr4=1 << 5, efer=1 << 10), paging.FOUR_LEVEL),
        (Registers(cr0=1 << 31, cr4=1 << 5 | 1 << 12, efer=1 << 10), paging.FIVE_LEVEL),
    ],
)
def test_the_mode_of_control_registers(registers, mode):
    assert paging_mode(registers) is mode


@pytest.mark.parametrize("name", [samples.PAIR, samples.LIVE, samples.PV])
class TestRealKernels:
    def test_the_banner_is_where_the_symbol_says(self, name):
        vcpu = samples.shared_image(name).vcpu(0)
        banner = vcpu.read(samples.symbol("linux_banner"), 13)
        assert banner == b"Linux version"

    def test_code_at_rip_is_that_of_the_kernel_file(self, name):
        import io

        from elftools.elf.elffile import ELFFile

        vcpu = samples.shared_image(name).vcpu(0)
        text = ELFFile(io.BytesIO(samples.vmlinux())).get_section_by_name(".text")
        at = vcpu.registers.rip - text["sh_addr"]
        assert vcpu.read(vcpu.registers.rip, 16) == text.data()[at : at + 16]

    def test_listing_agrees_with_the_walk(self, name):
        vcpu = samples.shared_image(name).vcpu(0)
        listed = list(vcpu.mappings(1 << 63))
        assert listed == sorted(listed)
        for run in listed:
            for at in (0, run.size - 1):
                assert vcpu.translate(run.virtual + at).physical == run.physical + at


def test_registers_of_a_pv_guest():
    vcpu = samples.shared_image(samples.PV).vcpu(0)
    assert vcpu.mode is paging.FOUR_LEVEL
    assert vcpu.registers.rip >> 32 == 0xFFFFFFFF
    assert vcpu.translate(vcpu.registers.rsp).writable


def test_a_32_bit_pv_guest_has_its_frame_number_rotated():
    from xensave.image.memory.vcpu import pv_root

    assert pv_root({}, Registers(cr3=0x12345003)) == 0x312345 << 12


def test_a_vcpu_that_was_not_saved():
    with pytest.raises(AbsentRecord):
        samples.image(record((0, bytes(PAGE)))).vcpu(7)
