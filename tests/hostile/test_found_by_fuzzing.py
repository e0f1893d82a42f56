"""Input that the fuzzers found to be read wrongly once: each stays read rightly."""

import io
import json
import os
import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from xensave import open as open_image
from xensave.cli import main
from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import (
    PAIR,
    PARAM,
    CpuidLeaf,
    PvInfo,
    TscInfo,
    VcpuBlob,
    pack_cpuid_policy,
)
from xensave.container.walk import walk
from xensave.convert import ConversionRefused, Settings
from xensave.convert.frame import FrameConverter
from xensave.dump.kernel_file import read_kernel
from xensave.errors import Malformed, SourceError
from xensave.headers.text.registrations import read_handlers
from xensave.image.memory.memory_map import memory_map
from xensave.policy.hostfile import host_of_text
from xensave.review.patchwork.client import Client, Series
from xensave.review.run import review_patches
from xensave.review.session import Request, setting_of
from xensave.rules.stream.run import verify
from xensave.source import open_source
from xensave.source.stream import StreamSource
from xensave.testing import pv, streams
from xensave.views.review.text import text

EXAMPLE = Path(__file__).parents[2] / "examples" / "hosts" / "amd.txt"


def both(data):
    """Return the findings of a file and of a pipe."""
    pipe = StreamSource(io.BytesIO(data).read, "<pipe>")
    return list(verify(open_source(data))), list(verify(pipe))


def pv_stream(*records):
    head = streams.stream_head("4.17", libxc.PV)
    return b"".join([head, *records, pack_record(libxc.END)])


@pytest.mark.parametrize("length", [1, 3, 12, 20])
@pytest.mark.parametrize(
    "type_", [libxc.X86_PV_INFO, libxc.X86_PV_P2M_FRAMES, libxc.X86_PV_VCPU_BASIC]
)
def test_a_padded_pv_record_in_a_pipe_can_be_learned_from(type_, length):
    mapped, piped = both(pv_stream(pack_record(type_, b"\4" * length)))
    assert mapped == piped
    assert mapped


@pytest.mark.parametrize("there", [0, 5, 13, 100])
@pytest.mark.parametrize("claimed", [0x7FFFFFF1, 0xFFFFFFFF])
def test_a_padded_record_that_is_cut_says_how_much_is_there(claimed, there):
    whole = pv_stream()[: -HEADER.size] + HEADER.pack(0x77, claimed) + bytes(there)
    mapped, piped = both(whole)
    assert mapped == piped
    padded = (claimed + 7) & ~7
    assert mapped[-1].message == f"input ends after {there} of {padded} bytes of its body"


def test_a_vendor_string_of_control_characters_is_escaped(capsys, tmp_path):
    leaf = CpuidLeaf(0, 0xFFFFFFFF, 0xD, *struct.unpack("<3I", b"\x1b[2J\x1b]0;x\x07ok"))
    policy = pack_record(libxc.X86_CPUID_POLICY, pack_cpuid_policy([leaf]))
    head = streams.stream_head("4.17", libxc.HVM) + policy + streams.static_data("4.17")
    (tmp_path / "image").write_bytes(head + pack_record(libxc.END))
    assert main(["show", "--record", "X86_CPUID_POLICY", str(tmp_path / "image")]) == 0
    out = capsys.readouterr().out
    assert r"\x1b" in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("row", ["zz000000:00000000", "00000000:0000\xff000", "00000000"])
def test_a_damaged_leaf_of_a_host_is_an_error(row):
    text = f"HVM Max policy: 1 leaves, 0 MSRs\n CPUID:\n  00000000:ffffffff -> 00000000:{row}:0\n"
    with pytest.raises(Malformed, match="no leaf and no MSR"):
        host_of_text(text, "a host")
    assert host_of_text(EXAMPLE.read_text(), "a host").hvm_max is not None


def test_a_long_line_or_name_of_a_host_is_cut_in_its_error():
    text = f"{'a' * 100_000} policy: 1 leaves, 0 MSRs\n  x{' -> ' * 100_000}\n"
    with pytest.raises(Malformed, match="no leaf and no MSR") as told:
        host_of_text(text, "a host")
    assert len(str(told.value)) < 300


def test_a_scan_takes_numbers_and_names_that_no_table_holds(tmp_path):
    pytest.importorskip("pyarrow")
    from xensave.fleet.pool import ProcessPool
    from xensave.fleet.query import ask
    from xensave.fleet.scan import Question, scan

    config = json.dumps({"c_info": {"name": "\ud800"}, "b_info": {"max_memkb": 1 << 70}})
    stream = streams.libxc_stream(
        pack_record(libxc.X86_TSC_INFO, TscInfo(0xFFFFFFFF, 1, 2, 3).to_bytes())
    )
    state = pack_record(
        libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, 0).to_bytes() + b"QEVM\xff\xff\xff\xff"
    )
    image = streams.xl_image(streams.libxl_stream(stream, state), config.encode())
    folder = tmp_path / "images"
    folder.mkdir()
    name = os.fsencode(folder) + b"/a\xff.img"
    with open(name, "wb") as file:
        file.write(image)
    table, question = str(tmp_path / "fleet.parquet"), Question(("4.17",))
    first = scan([str(folder)], table, question, ProcessPool(question, 1))
    assert (first.rows, first.looked_at, first.errors) == (1, 1, 0)
    assert scan([str(folder)], table, question, ProcessPool(question, 1)).looked_at == 0
    asked = "select address, guest, memory, tsc_mode, emulator_version from fleet"
    assert ask(table, asked).rows == [
        (f"file://{folder}/a%FF.img", "\\ud800", None, 0xFFFFFFFF, 0xFFFFFFFF)
    ]


@pytest.mark.parametrize("link", ["http://p[atchwork.example/mbox/", "http://[::1/mbox/"])
def test_a_servers_link_that_is_no_address_is_an_error(link):
    client = Client("http://patchwork.example", sleep=lambda _: None)
    with pytest.raises(SourceError, match="no address"):
        client.mails(Series(7, "a series", link, "", ()))
    with pytest.raises(SourceError, match="no address"):
        Client(link)


INFO = "OSRELEASE=6.1\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82000000\n"


@pytest.mark.parametrize(
    "info",
    [
        "", INFO.replace("4096", "none"), INFO.replace("=ffffffff82000000", "="),
        INFO + "NUMBER(phys_base)=99999999999999999999\n",
        INFO + "BUILD-ID=zz\n", INFO + "NUMBER(phys_base)=x\n", INFO.replace("OSRELEASE", "OS"),
    ],
)  # fmt: skip
def test_vmcoreinfo_that_drgn_refuses_is_an_error(info):
    pytest.importorskip("drgn")
    from xensave.drgn import program

    with open_image(EXAMPLE.parents[1] / "hvm1.img.zst") as image:
        with pytest.raises(SourceError, match="drgn refuses it"):
            program(image, vmcoreinfo=info.encode())
        program(image, vmcoreinfo=INFO.encode())


def test_a_handler_table_of_a_struct_declared_elsewhere_is_an_error():
    table = "hvm_sr_handlers[HVM_SAVE_CODE_MAX + 1];\n"
    good = "static struct { const char *name; } " + table
    assert read_handlers({"save.c": good}).entry_size == 8
    with pytest.raises(Malformed, match="is no array of a struct"):
        read_handlers({"save.c": "} " + table})


DEEP = "(" * 5000
WORDS_OF_A_CODEC = ["base64", "hex", "u\0", "utf-16", "punycode", "undefined"]


@pytest.mark.parametrize(
    "line",
    [
        "Date: Mon, 1 Jan 2024 10:00:00 +99999999999999999999",
        "Date: Mon, 1 Jan 99999999999999999999 10:00:00 +0000",
        f"From: {DEEP}", f"To: {DEEP}", f"Cc: {DEEP}", "Message-ID: <a@[",
        *(f"Subject: =?{name}?B?AAAA?=" for name in WORDS_OF_A_CODEC),
        *(f"Subject: =?{name}?Q?AAAA?=" for name in WORDS_OF_A_CODEC),
    ],
)  # fmt: skip
def test_a_mails_header_that_cannot_be_read_leaves_its_patch(line):
    mail = (EXAMPLE.parents[1] / "reserve-v1.mbox").read_bytes()
    name = line.split(":")[0].encode()
    whole, count = re.subn(
        rb"(?im)^" + name + rb":.*(\n[ \t].*)*", lambda _: line.encode(), mail, count=1
    )
    assert count or name == b"Cc"
    result = review_patches([("input", whole)], setting_of(Request()))
    assert any(review.objections for review in result.reviews)
    text(result)


@pytest.mark.parametrize(
    "stamp",
    ["Mon, 1 Jan 2024 10:00:00 +99999999999999999999", "Mon, 1 Jan 9999999999 10:00:00 GMT", "no"],
)
def test_a_servers_date_that_is_none_is_passed_over(stamp):
    from xensave.source.remote import http

    assert http._stamp(stamp) is None
    assert http._stamp("Wed, 21 Oct 2015 07:28:00 GMT") == 1445412480.0


def kernel():
    packed = EXAMPLE.parents[2] / "tests" / "data" / "binaries" / "vmlinux.elf.zst"
    return zstandard.ZstdDecompressor().decompress(packed.read_bytes(), 1 << 20)


@pytest.mark.parametrize("claimed", [1 << 40, 1 << 62, (1 << 64) - 1])
@pytest.mark.parametrize("section", range(1, 9))
def test_a_kernels_section_is_no_longer_than_its_file(section, claimed, tmp_path):
    data, path = bytearray(kernel()), tmp_path / "vmlinux"
    path.write_bytes(data)
    assert read_kernel(str(path)).release == "6.1.0-56-cloud-amd64"
    (table,) = struct.unpack_from("<Q", data, 0x28)
    struct.pack_into("<Q", data, table + 64 * section + 0x20, claimed)
    path.write_bytes(data)
    with suppress(Malformed):
        read_kernel(str(path))


def test_a_kernels_string_without_an_end_is_an_error(tmp_path):
    path = tmp_path / "vmlinux"
    data = bytearray(kernel())
    (table,) = struct.unpack_from("<Q", data, 0x28)
    # The names of sections are said to begin at the last byte, which is made one of a name.
    struct.pack_into("<QQ", data, table + 64 * 8 + 0x18, len(data) - 1, 1)
    data[-1] = 0x41
    path.write_bytes(data)
    with pytest.raises(Malformed, match="no kernel as an ELF file"):
        read_kernel(str(path))


@pytest.mark.parametrize("pfn", [(1 << 64) - 1, 1 << 63, (1 << 63) - 1])
def test_a_param_that_names_no_frame_cuts_no_map(pfn):
    # HVM_PARAM_STORE_PFN
    params = PAIR.pack(1, 0) + PARAM.pack(1, pfn)
    body = pack_record(libxc.HVM_PARAMS, params) + streams.page_data([3, 4])
    with open_image(streams.libxc_stream(body)) as image:
        found = memory_map(image)
    assert [(each.pfn, each.frames) for each in found.ranges] == [(3, 2)]


@pytest.mark.parametrize("charset", ["u\0\0", "utf-\x08", "no-such", ""])
def test_a_mails_charset_that_is_no_name_is_taken_for_utf8(charset):
    mail = (EXAMPLE.parents[1] / "reserve-v1.mbox").read_bytes()
    mail, count = re.subn(rb'charset="?[\w-]+"?', f'charset="{charset}"'.encode(), mail)
    assert count == 1
    result = review_patches([("input", mail)], setting_of(Request()))
    assert any(review.objections for review in result.reviews)


@pytest.mark.parametrize("number", [4096, 1 << 31])
def test_a_vcpu_beyond_those_of_a_legacy_stream_is_refused(number):
    """Its bit in the map of those online took as many bits as its number says."""
    end = pack_record(libxc.END)
    blob = VcpuBlob(number, bytes(pv.BASIC_SIZE)).to_bytes()
    record = pack_record(libxc.X86_PV_VCPU_BASIC, blob)
    stream = pv.pv_stream(vcpus=1).removesuffix(end) + record + end
    converter = FrameConverter(Settings("4.5"))
    with pytest.raises(ConversionRefused, match=f"vCPU {number}, the last"):
        for event in walk(open_source(stream)):
            list(converter.convert(event))
        list(converter.finish())


@pytest.mark.parametrize("width", [0, 1, 3, 16, 255])
def test_a_pv_guest_of_a_width_that_none_has_has_a_map(width):
    info = pack_record(libxc.X86_PV_INFO, PvInfo(8, 4).to_bytes())
    whole = pv.pv_stream(memory=streams.page_data([0, 3, 4]))
    stream = whole.replace(info, pack_record(libxc.X86_PV_INFO, PvInfo(width, 4).to_bytes()))
    assert stream != whole
    with open_image(stream) as image:
        assert sum(each.frames for each in memory_map(image).ranges) == 3
