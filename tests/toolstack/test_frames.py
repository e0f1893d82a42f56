"""What libvirt and xenopsd refuse of their own files, before libxl or libxc sees the stream.

Each row has its source: libxlDomainSaveImageOpen() and the XML's parser of libvirt 9;
restore_common(), process_header() and Xenops_record.of_string() of xenopsd.
"""

import pytest

from tests.convert.samples import converted
from xensave.container.frames import xenopsd as x
from xensave.convert import ConversionRefused, Settings, plan_conversion
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.testing import frames, legacy
from xensave.toolstack.judge import Judge
from xensave.toolstack.rule import Layer

TARGET = "4.17.7"
HVM_TAIL = legacy.hvm_tail(device_model=b"")
judge = Judge([TARGET], name_needs=False)


def verdict(data):
    with open_image(data) as image:
        return judge.judge(JudgedInput("case", None, None, image), TARGET)


def vm(text):
    return frames.suspend_image(front=frames.record(x.XENOPS, text))


REFUSED = {
    "no XML": (frames.libvirt_file(xml=b""), "LIBVIRT_XML_PRESENT"),
    "no end of an element": (frames.libvirt_file(xml=b"<domain>\0"), "LIBVIRT_XML_READABLE"),
    "no domain": (frames.libvirt_file(xml=b"<pool/>\0"), "LIBVIRT_XML_DOMAIN"),
    "no name": (frames.libvirt_file(xml=b"<domain type='xen'/>\0"), "LIBVIRT_XML_DOMAIN"),
    "cut XML": (frames.libvirt_file()[:100], "STREAM_COMPLETE"),
    "cut header": (frames.libvirt_file()[:40], "STREAM_COMPLETE"),
    "no stream": (
        x.MAGIC + frames.vm_record() + frames.record(x.END_OF_IMAGE),
        "XENOPSD_STREAM_PRESENT",
    ),
    "Qemu_xen": (
        frames.suspend_image(devices=frames.record(x.QEMU_XEN, b"QEVM")),
        "XENOPSD_TYPE_READ",
    ),
    "Libxl": (
        frames.suspend_image(devices=frames.record(x.LIBXL) + frames.libxl_stream(b"")),
        "XENOPSD_TYPE_READ",
    ),
    "much QEMU": (
        frames.suspend_image(devices=frames.record(x.QEMU_TRAD, frames.QEMU + bytes(1 << 20))),
        "XENOPSD_QEMU_BOUNDED",
    ),
    "an unknown type": (frames.suspend_image(devices=frames.record(0x77)), "STREAM_WELL_FORMED"),
    "no end": (frames.suspend_image()[: -x.PAIR.size], "STREAM_COMPLETE"),
    "no s-expression": (vm(b"((time 1)"), "XENOPSD_VM_READABLE"),
    "no list": (vm(b"time"), "XENOPSD_VM_READABLE"),
    "no time": (vm(b"((word_size 64))"), "XENOPSD_VM_READABLE"),
    "no word size": (vm(b"((time 1)(word_size many))"), "XENOPSD_VM_READABLE"),
    "a field of others": (vm(b"((time 1)(word_size 64)(name a))"), "XENOPSD_VM_READABLE"),
    # restore_common() goes on with read_legacy_qemu_header() where the domain is an HVM one.
    "no QEMU of old": (
        frames.legacy_suspend_image(legacy.hvm_stream(4, tail=HVM_TAIL), b""),
        "STREAM_COMPLETE",
    ),
    "a field twice": (vm(b"((time 1)(time 2)(word_size 64))"), "XENOPSD_VM_READABLE"),
}
RESTORED = {
    "libvirt": frames.libvirt_file(),
    "words after the version": frames.libvirt_file(unused=bytes([0, 1])),
    "a document type": frames.libvirt_file(xml=b"<!DOCTYPE domain>" + frames.DOMAIN.encode()),
    "what follows the NUL": frames.libvirt_file(xml=frames.DOMAIN.encode() + b"\0<"),
    "xenopsd": frames.suspend_image(),
    "QEMU of old": frames.legacy_suspend_image(legacy.hvm_stream(4, tail=HVM_TAIL)),
    "no record of the VM": frames.suspend_image(front=b""),
    "no description of the VM": vm(b"((time 1)(word_size 64))"),
    "a length of the stream": frames.suspend_image(front=b"").replace(
        frames.record(x.LIBXC), frames.record(x.LIBXC, length=24), 1
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_frames_own_reader_refuses(name):
    data, rule = REFUSED[name]
    answer = verdict(data)
    owner = Layer.LIBVIRT if data.startswith(b"libvirt") else Layer.XENOPSD
    assert (answer.accepted, answer.rule, answer.layer) == (False, rule, owner)
    assert answer.cite.function


@pytest.mark.parametrize("name", RESTORED)
def test_what_no_reader_minds_is_no_refusal(name):
    assert verdict(RESTORED[name]).accepted is not False


def test_a_vgpu_whose_end_nobody_knows_is_left_open():
    """xenopsd hands it to the program of the vGPU, and goes on behind it."""
    data = frames.suspend_image(devices=frames.record(x.DEMU) + bytes(64))
    answer = verdict(data)
    assert answer.accepted is None
    assert any("vGPU" in doubt for doubt in answer.depends)


@pytest.mark.parametrize(
    "xml",
    [
        b"<!DOCTYPE domain>" + frames.DOMAIN.encode(),
        b"<a>" * 100 + b"</a>" * 100,
        frames.DOMAIN.replace("</domain>", "<a/>" * 70_000 + "</domain>").encode(),
        frames.DOMAIN.replace("</domain>", " " * (1 << 20) + "</domain>").encode(),
    ],
    ids=["type", "deep", "elements", "long"],
)
def test_xml_that_is_not_looked_at_is_left_open(xml):
    answer = verdict(frames.libvirt_file(xml=xml + b"\0"))
    assert answer.accepted is None
    assert any("libvirt header is in order" in doubt for doubt in answer.depends)


@pytest.mark.parametrize(
    "record",
    [
        b"((time 1)(word_size 64)(name" + b" a" * 70_000 + b"))",
        b"(" * 100 + b")" * 100,
        b'((time 1)(word_size 64)(vm_str "' + b"(" * 100 + b")" * 100 + b'"))',
        b"((time 1)(word_size 64)(vm_str " + b"a" * (4 << 20) + b"))",
    ],
    ids=["words", "deep", "deep within", "long"],
)
def test_a_vms_record_that_is_not_looked_at_is_left_open(record):
    answer = verdict(vm(record))
    assert answer.accepted is None
    assert any("xenopsd Xenops is in order" in doubt for doubt in answer.depends)


@pytest.mark.parametrize("name", ["no s-expression", "Qemu_xen"])
def test_a_conversion_is_judged_so_in_its_frame(name):
    """The record of the VM and QEMU's are no matter of libxc's, where it leaves xenopsd's frame."""
    data, _ = REFUSED[name]
    with pytest.raises(ConversionRefused, match=r"Xen 4\.17\.7 would refuse the result"):
        plan_conversion(data, Settings(TARGET))
    plan_conversion(data, Settings(TARGET, to="libxc"))


def test_what_comes_behind_the_stream_is_judged_as_it_comes():
    """In a pipe: libxc's END is not the last that xenopsd reads."""
    with pytest.raises(ConversionRefused, match="1048584 bytes, xenopsd takes 1048576 at most"):
        converted(REFUSED["much QEMU"][0], Settings(TARGET))
    converted(RESTORED["xenopsd"], Settings(TARGET))
