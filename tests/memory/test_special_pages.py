"""Special pages of a real HVM guest with a large MMIO hole, and memory above 4 GiB."""

import struct

import pytest

from tests.memory import samples
from xensave import open as open_image
from xensave.image.memory.special_pages import SpecialPages, mmio_hole, special_pages

IMAGE = "hvm-hole.img.zst"
# What its kernel said in /proc/iomem: 11000000-11ffffff is the first BAR of 0000:00:03.0.
VIDEO = SpecialPages("video memory", 0x11000, 0x1000)
# QEMU's state of that card: the name, instance and version of the section, and the version of the
# PCI device in it; then its configuration space.
CARD = b"0000:00:03.0/vga" + struct.pack(">III", 0, 2, 2)
BAR, CLASS = 16, 9


@pytest.fixture(scope="module")
def data():
    return samples.pair_bytes(IMAGE)


def video(data):
    with open_image(data) as image:
        return [each for each in special_pages(image) if each.name == "video memory"]


def changed(data, offset, value):
    """The image with other bytes in the card's configuration space."""
    at = data.index(CARD) + len(CARD) + offset
    return data[:at] + value + data[at + len(value) :]


def test_the_hole_is_that_of_the_configuration(data):
    with open_image(data) as image:
        assert mmio_hole(image) == SpecialPages("MMIO hole", 0x10000, 0xF0000)
        named = {each.name for each in special_pages(image)}
    assert {"VGA hole", "xenstore ring", "ioreq page", "identity page table", "VM86 TSS"} <= named


def test_video_memory_is_where_the_kernel_says(data):
    assert video(data) == [VIDEO]


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (BAR, b"\x08\0\0\0"),
        (BAR, b"\x01\0\0\x11"),
        (BAR, b"\x0c\0\0\x11\x01\0\0\0"),
        (BAR, b"\x08\0\0\x12"),
        (CLASS + 2, b"\x02"),
        (-4, b"\0\0\0\3"),
    ],
    ids=["no address", "ports", "beyond memory", "no frames", "no card", "another version"],
)
def test_what_is_no_video_memory_has_no_name(data, offset, value):
    assert video(changed(data, offset, value)) == []


def test_a_state_of_too_many_devices_costs_the_name_only(data):
    head = b"\x04\0\0\0\1\x02xx" + bytes(8)
    start = data.index(b"QEVM")
    (length,) = struct.unpack_from("<I", data, start - 12)
    many = data[start : start + 8] + head * 10_001
    record = struct.pack("<I", 8 + len(many)) + data[start - 8 : start] + many
    padded = record + bytes(-(8 + len(many)) % 8)
    whole = data[: start - 12] + padded + data[start - 8 + length + -length % 8 :]
    assert video(whole) == []
    with open_image(whole) as image:
        assert "VGA hole" in {each.name for each in special_pages(image)}
