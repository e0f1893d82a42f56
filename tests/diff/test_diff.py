"""What differs between two images: known changes are named, and nothing else is."""

import json
import lzma
import struct
from pathlib import Path

import numpy as np
import pytest
import zstandard

import xensave
from xensave.cli import main
from xensave.container.frames.xl import OptionalData, XlHeader
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.context import Context
from xensave.diff import Selection, compare
from xensave.testing import streams

ROOT = Path(__file__).parents[2]
MOMENTS = ROOT.parent / "shared" / "data" / "moments"
# Where the two moments differ, as counted by another program.
PAGES = (
    "140 141 146 15c 160 161 16c 188 18c 190 1a8 1aa 1ae 1b8 1bd 234 237 302 307 31c 374 378 382"
    " 386 389 38c 390 57b 57e 582 58c 5b7 5be 5c3 5ce 5d2 5d6 c05 c14 c1a c1c c1d c1e c1f c20 c21"
    " c22 c23 19e3 19f3 1a03 1a07 1a13 1a38 1a3f 1a92 1aaa 1aac 1ab9 1abc 1ac4 1ac8 1ad1 1bad 1bbb"
    " 1bbe 1bc5 1be2 1be3 1bea 1bed feffc fefff"
)


@pytest.fixture(scope="module")
def hvm1():
    return zstandard.ZstdDecompressor().decompress(
        (ROOT / "examples" / "hvm1.img.zst").read_bytes(), max_output_size=1 << 26
    )


def rewritten(data, change):
    """Return an image whose records went through `change(event)`: bytes, or None to leave one."""
    parts = []
    with xensave.open(data) as image:
        for event in image.events():
            new = change(event)
            parts.append(event.to_bytes() if new is None else new)
    return b"".join(parts)


def with_record(data, layer, type_, change):
    def each(event):
        if event.is_record(layer, type_):
            return pack_record(type_, change(bytes(event.body())))
        return None

    return rewritten(data, each)


def differences(old, new, **selection):
    with xensave.open(old) as a, xensave.open(new) as b:
        return compare(a, b, Selection(**selection))


def named(comparison):
    return [(change.record, change.path) for change in comparison.changes]


def test_alike(hvm1):
    comparison = differences(hvm1, hvm1)
    assert not comparison.differs
    assert comparison.memory.old == comparison.memory.new == 4092


def test_a_compressed_image_is_like_the_plain_one(hvm1):
    assert not differences(hvm1, ROOT / "examples" / "hvm1.img.zst").differs


def test_a_field_and_its_bits(hvm1):
    def change(body):
        context = Context.parse(body, "4.17")
        return context.replace("CPU", 0, cr4=0x600 | 1 << 20, rip=0x1234).to_bytes()

    comparison = differences(hvm1, with_record(hvm1, "libxc", libxc.HVM_CONTEXT, change))
    by_path = {change.path: change for change in comparison.changes}
    assert set(by_path) == {"cr4", "rip"}
    assert by_path["rip"].old.value == 0xB7B9
    assert by_path["rip"].new.value == 0x1234
    assert "+SMEP" in by_path["cr4"].bits


def test_a_record_gone_and_one_added(hvm1):
    def change(body):
        context = Context.parse(body, "4.17")
        records = [record for record in context if record.name != "TSC_ADJUST"]
        extra = xensave.context.ContextRecord(22, 0, b"abcd")
        return context.with_records((*records[:-1], extra, records[-1])).to_bytes()

    comparison = differences(hvm1, with_record(hvm1, "libxc", libxc.HVM_CONTEXT, change))
    assert named(comparison) == [("TSC_ADJUST[0]", ""), ("type 22[0]", "")]
    gone, new = comparison.changes
    assert gone.new is None
    assert new.old is None


def test_records_in_another_order(hvm1):
    def change(body):
        context = Context.parse(body, "4.17")
        header, *middle, end = context
        return context.with_records((header, *reversed(middle), end)).to_bytes()

    comparison = differences(hvm1, with_record(hvm1, "libxc", libxc.HVM_CONTEXT, change))
    (order,) = comparison.changes
    assert order.name == "records.order"
    assert (order.old.text, order.new.text) == (
        "CPU[0] after HEADER[0]", "TSC_ADJUST[0] after HEADER[0]"
    )  # fmt: skip


def test_what_lies_behind_the_end(hvm1):
    def texts(old, new):
        return [(change.path, change.new.text) for change in differences(old, new).changes]

    assert texts(hvm1, hvm1 + b"junk") == [("input", "4 bytes"), ("length", "4")]
    assert texts(hvm1 + b"jink", hvm1 + b"junk") == [("input", "4 bytes")]
    context = (ROOT / "examples" / "hvm1.ctx").read_bytes()
    assert texts(context, context + b"junk") == [("HVM context", "4 bytes")]


def test_a_name_that_is_none_is_refused(capsys):
    context = str(ROOT / "examples" / "hvm1.ctx")
    for name in ("NOPE", "CPUX", "CPU,NOPE"):
        assert main(["diff", context, context, "--records", name]) == 2
        assert "neither holds a record" in capsys.readouterr().err
    for name in ("cpu", "CPU[0].rip", "memory", "QEMU", "config,xenstore"):
        assert main(["diff", context, context, "--records", name]) == 0
    # What is wrong with the second is not told of the first.
    assert main(["diff", context, "no-such-file"]) == 2
    assert capsys.readouterr().err.startswith("xensave diff: no-such-file: ")


def test_params_policy_and_msrs_by_name(hvm1):
    params = with_record(
        hvm1, "libxc", libxc.HVM_PARAMS, lambda body: body.replace(b"\xfc\xef\x0f", b"\xfd\xef\x0f")
    )
    assert ("HVM_PARAMS", "STORE_PFN") in named(differences(hvm1, params))

    def without_smep(body):
        leaves = [list(leaf) for leaf in struct.iter_unpack("<6I", body)]
        for leaf in leaves:
            if leaf[:2] == [7, 0]:
                leaf[3] &= ~(1 << 7)
        return b"".join(struct.pack("<6I", *leaf) for leaf in leaves)

    policy = differences(hvm1, with_record(hvm1, "libxc", libxc.X86_CPUID_POLICY, without_smep))
    (change,) = policy.changes
    assert (change.record, change.path, change.bits) == ("X86_CPUID_POLICY", "0x7.0.b", ("-SMEP",))
    msr = with_record(
        hvm1, "libxc", libxc.X86_MSR_POLICY, lambda body: body[:-8] + struct.pack("<Q", 5)
    )
    assert named(differences(hvm1, msr)) == [("X86_MSR_POLICY", "ARCH_CAPABILITIES")]


def test_configuration_by_key(hvm1):
    def change(event):
        if event.label != "xl header":
            return None
        optional = OptionalData.parse(event.body())
        config = json.loads(optional.text)
        config["b_info"]["max_vcpus"] = 4
        data = optional._replace(config=json.dumps(config).encode() + b"\0").to_bytes()
        header = event.header._replace(optional_length=len(data))
        assert isinstance(header, XlHeader)
        return header.to_bytes() + data

    comparison = differences(hvm1, rewritten(hvm1, change))
    assert named(comparison) == [("config", "b_info.max_vcpus")]


def test_a_section_of_qemu(hvm1):
    def change(body):
        at = body.index(b"\x04apic") + 9
        return body[: at + 3] + b"\x02" + body[at + 4 :]

    comparison = differences(hvm1, with_record(hvm1, "libxl", libxl.EMULATOR_CONTEXT, change))
    assert named(comparison) == [("QEMU apic[0]", "version"), ("QEMU apic[0]", "state")]
    assert comparison.changes[0].new.value == 2


def page_record(*pages):
    pfns = [pfn for pfn, _ in pages]
    front = libxc_front(pfns)
    return pack_record(libxc.PAGE_DATA, front + b"".join(page for _, page in pages if page))


def libxc_front(pfns):
    return struct.pack("<II", len(pfns), 0) + struct.pack(f"<{len(pfns)}Q", *pfns)


def stream(*records):
    return streams.libxc_stream(b"".join(records))


def test_memory_by_frames():
    one, two, zero = b"\1" * 4096, b"\2" * 4096, bytes(4096)
    empty = 0xF << 60
    old = stream(page_record((1, one), (2, one), (3, one), (4, one), (empty | 9, b"")))
    # Frame 1 is sent twice: the last contents count. A frame without contents has none.
    new = stream(page_record((1, two), (2, two), (3, zero)), page_record((1, one), (7, one)))
    memory = differences(old, new).memory
    assert memory.changed.tolist() == [2, 3]
    assert memory.zeroed.tolist() == [3]
    assert memory.appeared.tolist() == [7]
    assert memory.vanished.tolist() == [4]
    assert (memory.old, memory.new) == (4, 4)


def test_pages_behind_verify_are_no_memory():
    one, two = b"\1" * 4096, b"\2" * 4096
    old = stream(page_record((1, one)))
    new = stream(page_record((1, one)), pack_record(libxc.VERIFY), page_record((1, two)))
    comparison = differences(old, new)
    assert not comparison.memory.differs
    assert named(comparison) == [("libxc VERIFY", "")]


def test_an_image_and_a_context_without_memory(hvm1, capsys):
    context = str(ROOT / "examples" / "hvm1.ctx")
    with xensave.open(context, release="4.17") as old, xensave.open(hvm1) as new:
        comparison = compare(old, new)
        assert comparison.memory is None
        assert comparison.lacking == (context,)
    assert main(["diff", context, str(ROOT / "examples" / "hvm1.img.zst")]) == 1
    assert f"memory  not compared: {context} holds none\n" in capsys.readouterr().out


def test_another_page_type():
    page = b"\1" * 4096
    old, new = stream(page_record((1, page))), stream(page_record((1 << 60 | 1, page)))
    assert differences(old, new).memory.retyped.tolist() == [1]


def test_what_is_selected():
    a, b = ROOT / "examples" / "hvm1.ctx", ROOT / "examples" / "pvh1.ctx"
    assert named(differences(a, b, records=("PIC",))) == [("PIC[0]", ""), ("PIC[1]", "")]
    assert named(differences(a, b, records=("PIC",), ignore=("PIC[1]",))) == [("PIC[0]", "")]
    paths = named(differences(a, b, records=("CPU",), ignore=("CPU.r8", "CPU.x87+SSE")))
    assert ("CPU[0]", "r8") not in paths
    assert ("CPU[0]", "r9") in paths or ("CPU[0]", "rip") in paths
    assert not [path for _, path in paths if path.startswith("x87")]


def test_the_command(hvm1, tmp_path, capsys):
    def change(body):
        return Context.parse(body, "4.17").replace("CPU", 0, tsc=1).to_bytes()

    new = tmp_path / "new.img"
    new.write_bytes(with_record(hvm1, "libxc", libxc.HVM_CONTEXT, change))
    old = str(ROOT / "examples" / "hvm1.img.zst")
    assert main(["diff", old, str(new)]) == 1
    assert capsys.readouterr().out.startswith("always moving  1 field: CPU[0].tsc\n")
    assert main(["diff", old, str(new), "--ignore", "volatile"]) == 0
    assert main(["diff", old, str(new), "--json"]) == 1
    found = json.loads(capsys.readouterr().out.split("no difference\n")[1])
    assert found["changes"][0]["volatile"]
    assert main(["diff", old, str(tmp_path / "none")]) == 2
    assert main(["diff", "-", "-"]) == 2


@pytest.mark.skipif(not MOMENTS.is_dir(), reason="the two moments are not here")
def test_two_moments_of_a_guest():
    a, b = (lzma.decompress((MOMENTS / f"xen417-pvh1-{n}.img.xz").read_bytes()) for n in "ab")
    comparison = differences(a, b)
    assert named(comparison) == [
        ("X86_TSC_INFO", "nsec"),
        ("CPU[0]", "r8"),
        ("CPU[0]", "tsc"),
        ("CPU_XSAVE[0]", "PKRU.pkru"),
    ]
    age = comparison.changes[0]
    assert (age.old.value, age.new.value) == (15443407364, 23458532322)
    assert [change.path for change in comparison.steady] == ["r8", "PKRU.pkru"]
    assert comparison.memory.changed.tolist() == [int(pfn, 16) for pfn in PAGES.split()]
    assert comparison.memory.old == comparison.memory.new == 8144
    assert not np.concatenate(comparison.memory[3:]).size
