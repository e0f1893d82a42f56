"""Bodies of real records, read and written back; counts that lie."""

from pathlib import Path

import pytest

from xensave.container import walk
from xensave.container.frames import xl
from xensave.container.streams import hvm, libxc, libxc_records, libxl
from xensave.errors import Malformed, Truncated, XensaveError
from xensave.source import open_source

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "images"
IMAGES = sorted([*SHARED.glob("*.zst")] or [*ROOT.glob("examples/*.zst")])

PARSERS = {
    libxc.PAGE_DATA: libxc_records.PageData.parse,
    libxc.X86_PV_INFO: libxc_records.PvInfo.parse,
    libxc.X86_PV_P2M_FRAMES: libxc_records.P2mFrames.parse,
    libxc.X86_PV_VCPU_BASIC: libxc_records.VcpuBlob.parse,
    libxc.X86_PV_VCPU_EXTENDED: libxc_records.VcpuBlob.parse,
    libxc.X86_PV_VCPU_XSAVE: libxc_records.VcpuBlob.parse,
    libxc.X86_TSC_INFO: libxc_records.TscInfo.parse,
    libxc.HVM_PARAMS: libxc_records.HvmParams.parse,
    libxc.HVM_CONTEXT: hvm.RawContext.parse,
}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_real_bodies_come_back(path):
    for event in walk(open_source(path)):
        if event.layer != "libxc" or event.type not in PARSERS:
            continue
        body = event.body()
        parsed = PARSERS[event.type](body)
        packed = parsed.to_bytes()
        assert packed == bytes(body[: len(packed)])
        if event.type == libxc.PAGE_DATA:
            assert event.length == parsed.size + libxc.PAGE_SIZE * parsed.pages
        else:
            assert len(packed) == event.length


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_real_policies_come_back(path):
    for event in walk(open_source(path)):
        if event.is_record("libxc", libxc.X86_CPUID_POLICY):
            leaves = libxc_records.policy_leaves(event.body())
            assert leaves[0].leaf == 0
            assert libxc_records.pack_cpuid_policy(leaves) == bytes(event.body())
        if event.is_record("libxc", libxc.X86_MSR_POLICY):
            entries = libxc_records.policy_msrs(event.body())
            assert [entry.msr for entry in entries] == [0xCE, 0x10A]
            assert libxc_records.pack_msr_policy(entries) == bytes(event.body())


def test_the_real_configuration_is_json():
    import json

    for path in IMAGES:
        event = next(walk(open_source(path)))
        optional = xl.OptionalData.parse(event.body())
        assert "c_info" in json.loads(optional.text)
        assert optional.to_bytes() == bytes(event.body())


@pytest.mark.parametrize("type_", PARSERS, ids=lambda type_: libxc.RECORDS[type_])
def test_bodies_too_short(type_):
    with pytest.raises(XensaveError):
        PARSERS[type_](b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "parse",
    [
        libxc_records.PageData.parse,
        libxc_records.HvmParams.parse,
        libxc_records.P2mFrames.parse,
        xl.OptionalData.parse,
    ],
)
def test_counts_that_lie(parse):
    with pytest.raises(Malformed):
        parse(b"\xff" * 12)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("X86_TSC_INFO", libxc_records.TscInfo), ("X86_PV_INFO", libxc_records.PvInfo)],
)
def test_the_fields_of_a_body_are_those_of_its_struct(name, kind):
    spec, _ = libxc_records.BODIES[name]
    assert [word.split(":")[0] for word in spec.split()] == list(kind._fields)


def test_xenstore_pairs_come_back():
    pairs = [("physmap/1", "vga"), ("empty", ""), ("odd", "\udcff")]
    assert libxl.parse_xenstore(libxl.pack_xenstore(pairs)) == pairs
    with pytest.raises(Malformed, match="NUL"):
        libxl.parse_xenstore(b"key\0value")
    with pytest.raises(Malformed, match="1 strings"):
        libxl.parse_xenstore(b"key\0")


def test_every_prefix_of_a_context_is_truncated():
    context = hvm.pack_entries([hvm.Entry(1, 0, bytes(24)), hvm.Entry(2, 0, b"abc")])
    whole = context + hvm.Entry(0, 0, b"").to_bytes()
    for cut in range(len(whole)):
        with pytest.raises(Truncated):
            hvm.RawContext.parse(whole[:cut])
    assert hvm.RawContext.parse(whole + b"tail").tail == b"tail"
    assert hvm.RawContext.parse(whole + b"tail").to_bytes() == whole + b"tail"
