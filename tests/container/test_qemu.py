"""QEMU's sections: as QEMU's own description lists them, and as a Xen guest's state has them."""

import json
from pathlib import Path

import pytest
import zstandard

import xensave
from xensave.container.streams import qemu
from xensave.errors import Malformed

ROOT = Path(__file__).parents[2]
STREAM = zstandard.decompress((ROOT / "tests/data/qemu/pc-7.2.mig.zst").read_bytes())
DESCRIPTION = STREAM.rfind(b"\0\6") + 1


@pytest.fixture(scope="module")
def described():
    devices = json.loads(STREAM[DESCRIPTION + 5 :])["devices"]
    return [(d["name"], d["instance_id"], d["version"], fields_size(d)) for d in devices]


def fields_size(item):
    """Return the bytes of a device's fields and subsections, as QEMU describes them."""
    own = sum(field["size"] * field.get("array_len", 1) for field in item.get("fields", []))
    below = sum(
        fields_size(sub) + 1 + 1 + len(sub["vmsd_name"]) + 4 for sub in item.get("subsections", [])
    )
    return own + below


def names_of(stream):
    return [(s.name, s.instance, s.version) for s in qemu.sections(stream)]


def test_the_sections_that_qemu_describes(described):
    assert len(described) == 30
    assert names_of(STREAM) == [row[:3] for row in described]


def test_each_section_ends_where_qemu_says(described):
    header_and_footer = 1 + 4 + 1 + 4 + 4 + 5
    for section, (name, _, _, size) in zip(qemu.sections(STREAM), described, strict=True):
        assert section.length == size + len(name) + header_and_footer, name


def test_footers_alone_settle_the_same_sections(described):
    assert names_of(STREAM[:DESCRIPTION]) == [row[:3] for row in described]


def test_a_header_inside_a_device_is_none_where_there_are_footers(described):
    sections = qemu.sections(STREAM[:DESCRIPTION])
    inside = sections[5].offset + 40
    header = b"\x04\0\0\0\x63\x05bogus\0\0\0\0\0\0\0\1"
    stream = STREAM[:inside] + header + STREAM[inside + len(header) : DESCRIPTION]
    assert names_of(stream) == [row[:3] for row in described]


def test_an_hvm_guest_of_xen():
    with xensave.open(ROOT / "examples" / "hvm1.img.zst") as image:
        (emulator,) = image.emulators
    names = [section.label for section in emulator.sections]
    assert names[:4] == ["timer[0]", "cpu_common[0]", "cpu[0]", "apic[0]"]
    assert names[-1] == "0000:00:02.0/platform[0]"
    assert len(names) == 22
    assert {s.name for s in emulator.sections[2].subsections} == {"cpu/poll_control_msr"}
    # Nothing lies between two sections, and QEMU_VM_EOF is all that follows the last.
    ends = [section.offset + section.length for section in emulator.sections]
    assert [8, *ends] == [*(s.offset for s in emulator.sections), emulator.length - 1]


def test_more_headers_than_any_qemu_has():
    header = b"\x04\0\0\0\0\x02ab\0\0\0\0\0\0\0\1"
    with pytest.raises(Malformed, match="more than 10,000 sections"):
        qemu.sections(b"QEVM\0\0\0\3" + header * 10_001)
