"""Frames of libvirt and xenopsd. Oracle: files that they wrote, or that were framed as they do."""

import hashlib
import json
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from tests.container.damage import Pipe, hurt
from xensave.cli import main
from xensave.container import walk
from xensave.container.events import LIBXC, XENOPSD
from xensave.container.frames import sexp
from xensave.container.frames import xenopsd as x
from xensave.container.frames.libvirt import ELEMENTS_LIMIT, LIBVIRT_FORMAT, parse_xml
from xensave.container.streams import varstored
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported, XensaveError
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.source import MemorySource, open_source
from xensave.testing import frames, legacy

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/data/containers"
needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="needs the larger samples")


@needs_samples
def test_what_libvirt_saved_is_read():
    with open_image(str(SHARED / "libvirt90-pvh1.save.zst")) as image:
        assert image.containers[:3] == ("libvirt v2", "libxl v2", "libxc v3")
        assert (image.guest, image.type, image.vcpus, image.xen) == ("lvpvh1", "pvh", 1, "4.17")
        assert image.configured_memory == 32 << 20
        details = dict(image.details)
        assert details["uuid"] == "f9db1d43-ac22-4143-ae90-af62d1d61a74"
        assert details["title"] == "A PVH guest made by libvirt; é & <tags>"
        assert image.size == 41_737_944
        assert image.tally.trailer == 0


@needs_samples
def test_a_suspend_image_is_read_up_to_its_end():
    facts = json.loads((SHARED / "facts.json").read_text())["xenopsd-hvm1.img"]
    with open_source(str(SHARED / "xenopsd-hvm1.img.zst")) as source:
        libxc, places = hashlib.sha256(), []
        for event in walk(source):
            if event.layer == LIBXC:
                libxc.update(event.to_bytes())
            elif event.name == "Qemu_trad":
                assert hashlib.sha256(event.body()).hexdigest() == facts["qemu_sha256"]
            if event.layer == XENOPSD and event.type >= 0:
                places.append((event.name, event.offset, event.body_offset, event.length))
        assert libxc.hexdigest() == facts["libxc_sha256"]
        assert source.offset == facts["end"]
    wanted = [(r["record"], r["header"], r["body"], r["length"]) for r in facts["records"]]
    assert places == wanted
    with open_image(str(SHARED / "xenopsd-hvm1.img.zst")) as image:
        assert (image.guest, image.type, image.vcpus) == (facts["name"], "hvm", facts["vcpus"])
        assert image.configured_memory == facts["memory"]
        details = dict(image.details)
        assert details["uuid"] == facts["uuid"]
        assert details["suspended"] == facts["time"]
        assert details["UEFI"] == "6 variables: " + " ".join(facts["variables"])
        assert details["TPM"] == f"{facts['swtpm_bytes']:,} bytes of state"
        assert image.emulators[0].version == 3


@needs_samples
@pytest.mark.parametrize("name", ["libvirt90-pvh1.save.zst", "xenopsd-hvm1.img.zst"])
def test_samples_verify_and_convert_in_their_frame(name, tmp_path):
    sample = str(SHARED / name)
    assert main(["verify", sample]) == 0
    assert main(["check", sample, "--target", "4.17", "--target", "4.21"]) == 0
    out = str(tmp_path / "out")
    assert main(["convert", sample, out, "--target", "4.21", "-q"]) == 0
    assert main(["verify", out]) == 0
    with open_source(sample) as before, open_source(out) as after:
        old = [event.to_bytes() for event in walk(before) if event.layer in ("libvirt", XENOPSD)]
        new = [event.to_bytes() for event in walk(after) if event.layer in ("libvirt", XENOPSD)]
    assert old == new


@pytest.mark.parametrize(
    "data", [frames.libvirt_file(), frames.suspend_image(), frames.suspend_image() + bytes(99)]
)
def test_a_pipe_gives_the_same_bytes(data):
    whole = b"".join(event.to_bytes() for event in walk(MemorySource(data)))
    assert whole == data[: len(whole)]
    pipe = Pipe(data)
    assert b"".join(event.to_bytes() for event in walk(open_source(pipe))) == whole


def test_no_byte_behind_the_end_of_a_suspend_image_is_asked_for():
    image = frames.suspend_image()
    pipe = Pipe(image + bytes(1 << 20))
    for _ in walk(open_source(pipe)):
        pass
    assert pipe.taken() <= len(image) + (1 << 17)


def test_legacy_streams_in_frames():
    bare = legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=b""))
    for data in (
        frames.legacy_suspend_image(bare),
        frames.libvirt_file(legacy.hvm_stream(), version=1),
        x.MAGIC + frames.vm_record() + frames.record(x.LIBXC_LEGACY) + bare
        + frames.record(x.QEMU_TRAD, frames.QEMU) + frames.record(x.END_OF_IMAGE),
    ):  # fmt: skip
        with open_image(data) as image:
            assert image.type == "hvm"
            assert len(image.emulators) == 1
            assert image.params[17] == 0xFEFFF


def test_a_legacy_suspend_image_of_hvm_has_a_device_model():
    """restore_common() reads its header behind the stream of every HVM guest, and of no other."""
    bare = legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=b""))
    with pytest.raises(Truncated, match="without the device model's state") as caught:
        list(walk(open_source(frames.legacy_suspend_image(bare, b""))))
    assert caught.value.record == "xenopsd Qemu_trad"
    pv = list(walk(open_source(frames.legacy_suspend_image(legacy.pv_stream(4, 4), b""))))
    assert not any(event.layer == "xenopsd" for event in pv[1:])


def test_what_xend_saved(tmp_path):
    model = b"QemuDeviceModelRecord" + frames.QEMU
    data = frames.xend_file(legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=model)))
    for what in (data, Pipe(data)):
        with open_image(what) as image:
            assert image.containers[:2] == ("xend", "legacy libxc of a 32-bit toolstack")
            assert (image.guest, image.type, image.configured_memory) == ("guest", "hvm", 32 << 20)
            assert image.emulators[0].length == len(frames.QEMU)
    (tmp_path / "in").write_bytes(data)
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "in"), str(out), "-t", "4.17"]) == 0
    with open_image(str(out)) as image:
        assert image.containers[0] == "libxl v2"


def test_a_vgpu_is_named():
    data = x.MAGIC + frames.vm_record() + frames.record(x.DEMU)
    with pytest.raises(Unsupported, match="vGPU"):
        list(walk(MemorySource(data)))


# XML and s-expressions of strangers.


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<!DOCTYPE d [<!ENTITY a 'aa'><!ENTITY b '&a;&a;&a;'>]><d>&b;</d>", Unsupported),
        (b"<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>", Unsupported),
        (b"<d>&nbsp;</d>", Malformed),
        (b"<d><e></d>", Malformed),
        (b"", Malformed),
        (b"\xff\xfe<", Malformed),
        (b"<d>" * 100, Unsupported),
    ],
)
def test_xml_that_could_do_harm_is_refused(data, error):
    """What libvirt would read is told apart from what nobody does."""
    with pytest.raises(error):
        parse_xml(data)
    assert LIBVIRT_FORMAT.describe(data).wrong is not None


def test_memory_in_any_unit():
    for unit, text, wanted in (("KiB", "32768", 32768), ("MiB", "32", 32768), ("b", "2048", 2)):
        xml = frames.DOMAIN.replace("'MiB'>32<", f"'{unit}'>{text}<").encode()
        assert LIBVIRT_FORMAT.describe(xml).config["b_info"]["max_memkb"] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"a", "a"),
        (b"()", []),
        (b"(a(b c)d)", ["a", ["b", "c"], "d"]),
        (b'(name"x y")', ["name", "x y"]),
        (b'"\\n\\t\\065\\x41\\\\\\"\\\n   z"', '\n\tAA\\"z'),
        (b"(a ; a comment\n b)", ["a", "b"]),
        ('"é"'.encode(), "é"),
    ],
)
def test_s_expressions(text, wanted):
    assert sexp.parse(text) == wanted


@pytest.mark.parametrize("text", [b"", b"(", b")", b"a b", b'"a', b'("a)', b"(a))"])
def test_what_is_no_s_expression(text):
    with pytest.raises(Malformed):
        sexp.parse(text)


def test_depth_and_size_are_limited():
    with pytest.raises(LimitExceeded):
        sexp.parse(b"(" * 1000 + b")" * 1000)
    with pytest.raises(LimitExceeded):
        sexp.parse(b"a" * (sexp.SIZE_LIMIT + 1))


def test_more_elements_than_a_domain_has_are_not_looked_into():
    count = ELEMENTS_LIMIT - 2
    head, end = b"<domain><name>guest</name>", b"</domain>"
    assert parse_xml(head + b"<a/>" * count + end).text_of("name") == "guest"
    xml = head + b"<a/>" * (count + 1) + end
    with pytest.raises(LimitExceeded, match="elements"):
        parse_xml(xml)
    with open_source(frames.libvirt_file(xml=xml + b"\0")) as source:
        assert "LIBVIRT_XML_BOUNDED" in {each.rule for each in verify(source)}


@pytest.mark.parametrize("escape", [b"\\n", b"\\065", b"\\\n"])
def test_escapes_take_no_memory_of_their_own(escape):
    text = b'"' + escape * 100_000 + b'"'
    tracemalloc.start()
    try:
        sexp.parse(text)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_variables_whose_lengths_lie():
    body = frames.variables({"Boot0000": b"x" * 40, "PK": b""})
    assert [(v.name, len(v.data)) for v in varstored.parse(body)] == [("Boot0000", 40), ("PK", 0)]
    for cut in range(len(body)):
        with pytest.raises(Malformed):
            varstored.parse(body[:cut])
    with pytest.raises(Malformed):
        varstored.parse(body[:8] + b"\xff" * 8 + body[16:])


@pytest.mark.parametrize(
    "data",
    [
        frames.libvirt_file(),
        frames.suspend_image(),
        frames.xend_file(legacy.hvm_stream(8)),
        frames.legacy_suspend_image(legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=b""))),
    ],
    ids=["libvirt", "xenopsd", "xend", "xenopsd of old"],
)
def test_every_cut_and_mutation_ends_in_one_clear_error(data):
    for stream in hurt(data, 7, head=400, share=0.5):
        try:
            with open_image(stream) as image:
                assert image.facts
                assert isinstance(image.details, tuple)
        except XensaveError as error:
            assert "\n" not in str(error).strip()


def test_cuts_are_truncations_that_name_the_record():
    data = frames.suspend_image()
    for event in list(walk(MemorySource(data)))[1:]:
        with pytest.raises(Truncated) as caught:
            list(walk(MemorySource(data[: event.offset])))
        assert caught.value.record


def test_a_length_that_is_only_claimed():
    claims = x.MAGIC + frames.record(x.XENOPS, b"((", length=1 << 60)
    for data in (claims, frames.libvirt_file(xml=b"x")[:20] + b"\xff" * 4 + bytes(60)):
        tracemalloc.start()
        with pytest.raises(XensaveError):
            list(walk(open_source(Pipe(data))))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["utf-7", "nosuch", "rot13", "UTF-16", "cp037", "idna"])
def test_xml_in_an_encoding_that_is_not_read_is_an_error(encoding):
    xml = f"<?xml version='1.0' encoding='{encoding}'?>{frames.DOMAIN}".encode()
    # Of these one is wrong for everybody: what says that it is of 16 bits is of eight.
    error = Malformed if encoding == "UTF-16" else Unsupported
    with pytest.raises(error, match="no XML"):
        parse_xml(xml)


@pytest.mark.parametrize(
    ("unit", "bytes_"),
    [
        ("b", 1), ("bytes", 1), ("KB", 10**3), ("k", 2**10), ("KiB", 2**10), ("MB", 10**6),
        ("M", 2**20), ("mib", 2**20), ("GB", 10**9), ("G", 2**30), ("TB", 10**12), ("T", 2**40),
        ("TiB", 2**40), ("PiB", 2**50), ("EB", 10**18), ("E", 2**60),
    ],
)  # fmt: skip
def test_units_of_memory_are_those_of_libvirt(unit, bytes_):
    """The units that libvirt's page on the domain XML lists for `memory`."""
    xml = frames.DOMAIN.replace("unit='MiB'>32", f"unit='{unit}'>4096").encode()
    found = LIBVIRT_FORMAT.describe(xml).config["b_info"]
    assert found["max_memkb"] == 4096 * bytes_ // 1024


@pytest.mark.parametrize("unit", ["furlong", "kk", "kibi", ""])
def test_a_unit_that_libvirt_knows_not_is_no_number(unit):
    xml = frames.DOMAIN.replace("unit='MiB'", f"unit='{unit}'").encode()
    assert "max_memkb" not in LIBVIRT_FORMAT.describe(xml).config["b_info"]


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="NO QEMU-IMG: install qemu-utils")
@pytest.mark.parametrize("options", ["subformat=dynamic", "subformat=fixed", "force_size=on"])
def test_disks_of_qemu_are_read(options, tmp_path):
    """VHDs as qemu-img writes them; of other disks it says how they are unpacked."""
    image = frames.suspend_image() + bytes(3 << 20) + b"old data" * 1000
    (tmp_path / "raw").write_bytes(image)
    words = ["qemu-img", "convert", "-f", "raw", tmp_path / "raw"]
    subprocess.run([*words, "-O", "vpc", "-o", options, tmp_path / "vhd"], check=True)
    with open_image(str(tmp_path / "vhd")) as found:
        assert (found.guest, found.size) == ('guest ("quoted")', len(frames.suspend_image()))
    for kind in ("qcow2", "vhdx", "vmdk"):
        subprocess.run([*words, "-O", kind, tmp_path / kind], check=True)
        with (
            open_source(str(tmp_path / kind)) as source,
            pytest.raises(Unsupported, match="qemu-img convert -O raw"),
        ):
            list(walk(source))
