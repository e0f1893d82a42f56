"""An image as JSON and back: the same bytes, or the ones that were changed."""

import hashlib
import io
import json
import os
from pathlib import Path

import jsonschema
import pytest
import zstandard
from hypothesis import given, settings

import xensave
from xensave.cli import main
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.edit.document.decode import decode_pieces
from xensave.edit.document.encode import Document, write_document
from xensave.errors import Malformed, Unsupported, UsageError
from xensave.source import open_source
from xensave.testing import strategies, streams
from xensave.views.schemas import schema

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
HVM1 = ROOT / "examples" / "hvm1.img.zst"
SAMPLES = [
    *sorted((ROOT / "examples").glob("*.ctx")),
    HVM1,
    *sorted((ROOT / "tests" / "data" / "contexts").rglob("*.ctx")),
    *sorted(SHARED.glob("images/*.zst")),
    *sorted(SHARED.glob("containers/*.zst")),
    *sorted(SHARED.glob("reports/*.img")),
]


def decoded(what, **options):
    with open_source(what) as source:
        return json.loads("\n".join(map("".join, decode_pieces(source, None, **options))))


def encoded(document, what, tmp_path):
    out = tmp_path / "out"
    with out.open("wb") as file, open_source(what) as source:
        loaded = Document.load(io.StringIO(json.dumps(document)))
        write_document(loaded, source, file.fileno())
    return out


def digest(what):
    found = hashlib.sha256()
    with open_source(what) as source:
        while not source.at_end():
            found.update(source.read(len(source.peek(1 << 16))))
    return found.hexdigest()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_comes_back(path, tmp_path):
    try:
        document = decoded(path)
    except Unsupported as error:
        pytest.skip(str(error))
    jsonschema.Draft202012Validator(schema("decode")).validate(document)
    out = encoded(document, path, tmp_path)
    assert digest(path) == hashlib.sha256(out.read_bytes()).hexdigest()


@given(strategies.images())
@settings(max_examples=50)
def test_any_stream_comes_back(tmp_path_factory, data):
    out = encoded(decoded(data), data, tmp_path_factory.mktemp("stream"))
    assert out.read_bytes() == data


def stream(*records):
    head = streams.stream_head("4.17", libxc.HVM)
    return head + b"".join(records) + pack_record(libxc.END)


@pytest.mark.parametrize(
    "record",
    [
        pack_record(libxc.X86_TSC_INFO, bytes(range(24))),
        pack_record(libxc.X86_TSC_INFO, bytes(7), b"\x01"),
        pack_record(libxc.HVM_PARAMS, b"\3\0\0\0\1\0\0\0" + bytes(range(20))),
        pack_record(libxc.HVM_CONTEXT, b"damaged"),
        pack_record(0x80000013, b"unknown and optional"),
        pack_record(libxc.PAGE_DATA, b"\xff\xff\xff\xff\0\0\0\0"),
        pack_record(libxc.PAGE_DATA, b"\1\0\0\0\5\0\0\0" + b"\xff" * 8),
        pack_record(libxc.X86_PV_VCPU_EXTENDED, bytes(range(128))),
        pack_record(libxc.X86_PV_VCPU_BASIC, bytes(i & 0xFF for i in range(5176))),
    ],
)
def test_odd_records_come_back(record, tmp_path):
    data = stream(record)
    assert encoded(decoded(data), data, tmp_path).read_bytes() == data


def test_padding_that_is_not_zero_comes_back(tmp_path):
    # Bytes 25 - 27 of X86_PV_VCPU_EXTENDED's context belong to no field.
    body = bytearray(128)
    body[39] = 0x5A
    data = stream(pack_record(libxc.X86_PV_VCPU_EXTENDED, bytes(body)))
    document = decoded(data)
    assert "raw" in document["events"][2]
    assert encoded(document, data, tmp_path).read_bytes() == data


def test_a_changed_field_changes_its_bytes_only(tmp_path):
    document = decoded(HVM1)
    context = next(item for item in document["events"] if item["name"] == "HVM_CONTEXT")
    cpu = next(record for record in context["records"] if record["name"] == "CPU")
    cpu["fields"]["rip"] = "0xffffffff8122d763"
    out = encoded(document, HVM1, tmp_path)
    data = zstandard.ZstdDecompressor().decompress(HVM1.read_bytes(), max_output_size=1 << 26)
    new = out.read_bytes()
    assert len(new) == len(data)
    assert sum(old != byte for old, byte in zip(data, new, strict=True)) <= 8
    with xensave.open(new) as image:
        assert image.context["CPU", 0].rip == 0xFFFFFFFF8122D763


def test_a_record_left_out_and_one_added(tmp_path):
    document = decoded(HVM1)
    events = document["events"]
    at = next(i for i, item in enumerate(events) if item["name"] == "X86_MSR_POLICY")
    events[at] = {"layer": "libxc", "kind": "record", "name": "?", "type": 0x13, "body": "abcd"}
    out = encoded(document, HVM1, tmp_path)
    with xensave.open(out) as image:
        names = [count.name for count in image.counts]
    assert "X86_MSR_POLICY" not in names
    assert "mandatory record 0x13" in names


def test_a_device_of_qemu_in_another_version(tmp_path):
    document = decoded(HVM1)
    state = next(item for item in document["events"] if "sections" in item)
    state["sections"][3]["version"] = 2
    with xensave.open(encoded(document, HVM1, tmp_path)) as image:
        assert image.emulators[0].sections[3][:3] == ("apic", 0, 2)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.update(xensave=2), "version 2"),
        (lambda d: d.pop("events"), "'events' is missing"),
        (lambda d: d["events"].insert(0, 5), "events[0]"),
        (lambda d: d["events"][0].update(kind="x"), "no kind of event"),
        (lambda d: d["events"][0].update(layer="nowhere"), "no header"),
        (lambda d: d["events"][0]["fields"].update(version=1 << 70), "events[0].fields"),
        (lambda d: d["events"][2]["fields"].update(nope=1), "no field 'nope'"),
        (lambda d: d["events"][2]["fields"].update(mode="x"), "events[2].fields.mode"),
        (lambda d: d["events"][2]["fields"].update(mode=1 << 32), "mode takes an integer"),
        (lambda d: d["events"][2].update(layout="NONE.1"), "events[2].layout"),
        (lambda d: d["events"][2].update(padding="zz"), "not hexadecimal"),
        (lambda d: d["events"][2].update(type=-1), "beyond 32 bits"),
    ],
)
def test_a_broken_document_says_where(change, place, tmp_path):
    data = stream(pack_record(libxc.X86_TSC_INFO, bytes(24)))
    document = decoded(data)
    change(document)
    with pytest.raises((Malformed, Unsupported)) as caught:
        encoded(document, data, tmp_path)
    assert place in str(caught.value)


def test_an_image_that_is_not_the_one(tmp_path):
    document = decoded(HVM1)
    with pytest.raises(xensave.XensaveError, match="not the decoded one"):
        encoded(document, b"short", tmp_path)


def test_the_commands(tmp_path, capfd):
    path = tmp_path / "guest.json"
    assert main(["decode", str(HVM1)]) == 0
    path.write_text(capfd.readouterr().out)
    assert json.loads(path.read_text())["image"] == str(HVM1)
    out = tmp_path / "again.img"
    assert main(["encode", str(path), str(out)]) == 0
    assert digest(out) == digest(HVM1)
    assert main(["encode", os.devnull]) == 1
    assert main(["encode", str(tmp_path / "none")]) == 2
    path.write_text(path.read_text().replace(json.dumps(str(HVM1)), "null"))
    assert main(["encode", str(path), str(out)]) == 2
    assert "--image" in capfd.readouterr().err


def test_page_contents_need_an_image():
    document = Document.load(io.StringIO(json.dumps(decoded(HVM1))))
    with pytest.raises(UsageError, match="--image"):
        write_document(document, None, os.open(os.devnull, os.O_WRONLY))
