"""Each rule of the table has a stream that breaks it, and only such streams report it."""

import struct

import pytest

from tests.rules_stream import builders as b
from xensave.container.frames import xenopsd as x
from xensave.container.frames import xl
from xensave.container.framing import HEADER
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import HvmParams, P2mFrames, PageData, PvInfo, TscInfo
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream import run, table, verify
from xensave.rules.stream.formats import hvm
from xensave.rules.stream.table import checks, rules
from xensave.source import MemorySource
from xensave.testing import frames, legacy, streams
from xensave.testing.frames import record as image

rec = b.rec
CHECKPOINT = rec(libxc.CHECKPOINT)
C_END = rec(libxl.CHECKPOINT_END)
LIMIT = 128 << 20


def state(body=bytes(4), after=CHECKPOINT + C_END):
    """Return a stream with COLO's control record after a checkpoint."""
    return b.libxl_stream(b.hvm_stream(after, rec(libxl.CHECKPOINT_STATE, body)))


def pfn(value):
    return b.hvm_stream(memory=b.pages((1, 2, value), bytes(3 * 4096)))


def policy(type_, body, **where):
    return b.hvm_stream(before=rec(type_, body) + b.SDE, **where)


def vcpu(type_, content, reserved=0):
    return b.pv_stream(rec(type_, struct.pack("<II", 0, reserved) + content))


def pv_info(*fields):
    return b.pv_stream(before=rec(libxc.X86_PV_INFO, PvInfo(*fields).to_bytes()) + b.SDE + b.P2M)


def tsc(*fields):
    return b.hvm_stream(rec(libxc.X86_TSC_INFO, TscInfo(*fields).to_bytes()))


def context(data):
    return b.hvm_stream(tail=b.PARAMS + rec(libxc.HVM_CONTEXT, data))


LONG = (1 << 24) + 8
CASES = {
    "XL_BYTE_ORDER_NATIVE": b.xl_image(byte_order=0x11),
    "XL_MANDATORY_FLAGS_KNOWN": b.xl_image(mandatory_flags=7),
    "XL_OPTIONAL_FLAGS_ZERO": b.xl_image(optional_flags=1),
    "XL_STREAM_V2_SET": b.xl_image(mandatory_flags=1, stream=b.hvm_stream()),
    "XL_CONFIG_FITS": b.xl_image(b"\xff\0\0\0{}"),
    "XL_CONFIG_JSON": b.xl_image(b"\3\0\0\0{]\0"),
    "XL_CONFIG_FLAGGED": b.xl_image(b"\4\0\0\0{ }\0", mandatory_flags=2),
    "XL_CONFIG_PRESENT": b.xl_image(b""),
    "XL_CONFIG_BOUNDED": b.xl_image(bytes(LONG)),
    "LIBXL_OPTIONS_RESERVED_ZERO": b.libxl_stream(options=1 << 20),
    "LIBXL_RECORD_MANDATORY_KNOWN": b.libxl_stream(None, rec(0x7FFF0006)),
    "LIBXL_RECORD_OPTIONAL_KNOWN": b.libxl_stream(None, rec(0x80000000)),
    "LIBXL_PADDING_ZERO": b.libxl_stream(None, rec(3, bytes(9), b"\0\0\0\0\0\0\1")),
    "LIBXL_MARKER_EMPTY": b.libxl_stream(context=rec(libxl.LIBXC_CONTEXT, b"x")),
    "LIBXL_LIBXC_CONTEXT_ONCE": b.libxl_stream(None, rec(libxl.LIBXC_CONTEXT), b.hvm_stream()),
    "LIBXL_LIBXC_CONTEXT_PRESENT": libxl.LibxlHeader().to_bytes() + rec(libxl.END),
    "LIBXL_END_OUTSIDE_CHECKPOINT": b.libxl_stream(b.hvm_stream(CHECKPOINT, rec(libxl.END))),
    "LIBXL_CHECKPOINT_END_EXPECTED": b.libxl_stream(None, C_END),
    "LIBXL_CHECKPOINT_STATE_EXPECTED": b.libxl_stream(None, rec(5, bytes(4))),
    "LIBXL_CHECKPOINT_STATE_LENGTH": state(bytes(3)),
    "LIBXL_CHECKPOINT_STATE_KNOWN": state(b"\4\0\0\0"),
    "LIBXL_CHECKPOINT_STATE_PADDING_ZERO": state(bytes(4) + b"\1\0\0\0"),
    "LIBXL_EMULATOR_HEADER_COMPLETE": b.libxl_stream(None, rec(3, bytes(7))),
    "LIBXL_EMULATOR_ID_KNOWN": b.libxl_stream(None, b.emulator(number=3)),
    "LIBXL_EMULATOR_HVM_ONLY": b.libxl_stream(b.pv_stream()),
    "LIBXL_EMULATOR_CONTEXT_PRESENT": b.libxl_stream(model=b""),
    "LIBXL_EMULATOR_STATE_QEMU": b.libxl_stream(None, b.emulator(body=b"QEVM\0\0\0\2")),
    "LIBXL_RECORD_FITS_RELEASE": b.libxl_stream(
        b.hvm_stream(version=2, minor=6, before=b""), rec(libxl.CHECKPOINT_STATE, bytes(4))
    ),
    "LIBXL_XENSTORE_TERMINATED": b.libxl_stream(None, b.xenstore(b"key\0value")),
    "LIBXL_XENSTORE_PAIRED": b.libxl_stream(None, b.xenstore(b"key\0")),
    "LIBXL_XENSTORE_KEY_RELATIVE": b.libxl_stream(None, b.xenstore(b"/key\0value\0")),
    "LIBXL_XENSTORE_KEY_CHARACTERS": b.libxl_stream(None, b.xenstore(b"k y\0value\0")),
    "LIBXL_XENSTORE_BOUNDED": b.libxl_stream(None, b.xenstore(bytes(LONG))),
    "LIBXC_OPTIONS_RESERVED_ZERO": b.hvm_stream(options=2),
    "LIBXC_IMAGE_RESERVED_ZERO": b.hvm_stream(reserved=(0, 1)),
    "LIBXC_DOMAIN_TYPE_KNOWN": b.hvm_stream(domain=3),
    "LIBXC_DOMAIN_TYPE_CONFIGURED": b.xl_image(
        xl.OptionalData(streams.configuration()).to_bytes(),
        b.libxl_stream(b.pv_stream(), model=b""),
    ),
    "LIBXC_VERSION_FITS_RELEASE": b.hvm_stream(minor=13),
    "LIBXC_RECORD_FITS_RELEASE": b.hvm_stream(
        version=2, minor=6, before=rec(libxc.CHECKPOINT_DIRTY_PFN_LIST)
    ),
    "LIBXC_PAGE_SHIFT_12": b.hvm_stream(shift=44),
    "LIBXC_PAGE_SIZE_4096": b.hvm_stream(shift=0),
    "LIBXC_DOMAIN_RESERVED_ZERO": b.hvm_stream(domain_reserved=1),
    "LIBXC_RECORD_MANDATORY_KNOWN": b.hvm_stream(rec(0x7FFF0013)),
    "LIBXC_RECORD_OPTIONAL_KNOWN": b.hvm_stream(rec(0x80000013)),
    "LIBXC_RECORD_FITS_GUEST": b.pv_stream(b.PARAMS),
    "LIBXC_RECORD_LENGTH_BOUNDED": b.hvm_stream(HEADER.pack(0x80000013, LIMIT + 8)),
    "LIBXC_RECORD_LENGTH_8_MIB": b.hvm_stream(rec(libxc.VERIFY, bytes((8 << 20) + 8))),
    "LIBXC_PADDING_ZERO": b.hvm_stream(rec(0x80000013, b"1234567", b"\1")),
    "LIBXC_MARKER_EMPTY": b.hvm_stream(rec(libxc.VERIFY, b"x")),
    "LIBXC_TOOLSTACK_ABSENT": b.hvm_stream(rec(libxc.TOOLSTACK, b"x")),
    "LIBXC_CHECKPOINT_ABSENT": b.hvm_stream(CHECKPOINT),
    "LIBXC_DIRTY_PFN_LIST_BACKWARD": b.hvm_stream(rec(libxc.CHECKPOINT_DIRTY_PFN_LIST)),
    "LIBXC_DIRTY_PFN_LIST_LENGTH": b.hvm_stream(rec(libxc.CHECKPOINT_DIRTY_PFN_LIST, b"x")),
    "LIBXC_GUEST_STATE_PRESENT": b.hvm_stream(tail=b""),
    "LIBXC_STATIC_DATA_VERSION_3": b.hvm_stream(version=2),
    "LIBXC_STATIC_DATA_END_ONCE": b.hvm_stream(before=b.SDE + b.SDE),
    "LIBXC_STATIC_DATA_END_FIRST": b.hvm_stream(before=b.TSC + b.SDE),
    "LIBXC_STATIC_DATA_END_BEFORE_MEMORY": b.hvm_stream(before=b""),
    "LIBXC_POLICY_BEFORE_STATIC_DATA_END": b.hvm_stream(rec(libxc.X86_CPUID_POLICY, bytes(24))),
    "LIBXC_POLICY_LENGTH": policy(libxc.X86_CPUID_POLICY, bytes(25)),
    "LIBXC_MSR_POLICY_FLAGS_ZERO": policy(libxc.X86_MSR_POLICY, bytes(20) + b"\1" + bytes(11)),
    "LIBXC_PAGE_DATA_HEADER_COMPLETE": b.hvm_stream(memory=rec(libxc.PAGE_DATA, bytes(7))),
    "LIBXC_PAGE_DATA_RESERVED_ZERO": b.hvm_stream(memory=b.pages(reserved=1)),
    "LIBXC_PAGE_DATA_COUNT_POSITIVE": b.hvm_stream(memory=b.pages(())),
    "LIBXC_PAGE_DATA_PFNS_FIT": b.hvm_stream(memory=rec(libxc.PAGE_DATA, b"\2" + bytes(15))),
    "LIBXC_PAGE_DATA_COUNT_BOUNDED": b.hvm_stream(
        memory=rec(libxc.PAGE_DATA, struct.pack("<II", LONG // 8, 0) + bytes(LONG))
    ),
    "LIBXC_PFN_RESERVED_ZERO": pfn(1 << 52),
    "LIBXC_PAGE_TYPE_KNOWN": pfn(5 << 60),
    "LIBXC_PAGE_DATA_LENGTH": pfn(0xF << 60),
    "LIBXC_PFN_IN_P2M": b.pv_stream(memory=b.pages((0x3FF, 0x1 << 60 | 0x400))),
    "LIBXC_PAGE_DATA_AFTER_P2M_FRAMES": b.pv_stream(before=b.PV_INFO + b.SDE),
    "LIBXC_PV_INFO_ONCE": b.pv_stream(b.PV_INFO),
    "LIBXC_PV_INFO_COMPLETE": b.pv_stream(before=rec(libxc.X86_PV_INFO, bytes(7)) + b.SDE + b.P2M),
    "LIBXC_PV_INFO_LENGTH": b.pv_stream(
        before=rec(libxc.X86_PV_INFO, PvInfo(8, 4).to_bytes() + b"x") + b.SDE + b.P2M
    ),
    "LIBXC_PV_INFO_COMBINATION": pv_info(8, 3),
    "LIBXC_PV_INFO_RESERVED_ZERO": pv_info(8, 4, b"\0\0\0\0\0\1"),
    "LIBXC_PV_INFO_FIRST": b.pv_stream(before=b.SDE + b.P2M),
    "LIBXC_P2M_FRAMES_LENGTH": b.pv_stream(
        rec(libxc.X86_PV_P2M_FRAMES, P2mFrames(0, 0x400, (7, 8)).to_bytes())
    ),
    "LIBXC_P2M_FRAMES_RANGE": b.pv_stream(
        rec(libxc.X86_PV_P2M_FRAMES, P2mFrames(9, 8, (7,)).to_bytes())
    ),
    "LIBXC_SHARED_INFO_LENGTH": b.pv_stream(shared=rec(libxc.SHARED_INFO, bytes(4095))),
    "LIBXC_VCPU_AFTER_MEMORY": b.pv_stream(memory=b.BASIC + b.pages()),
    "LIBXC_VCPU_HEADER_COMPLETE": b.pv_stream(rec(libxc.X86_PV_VCPU_MSRS, bytes(7))),
    "LIBXC_VCPU_RESERVED_ZERO": vcpu(libxc.X86_PV_VCPU_MSRS, bytes(16), 1),
    "LIBXC_VCPU_NOT_EMPTY": vcpu(libxc.X86_PV_VCPU_XSAVE, b""),
    "LIBXC_VCPU_LENGTH": vcpu(libxc.X86_PV_VCPU_BASIC, bytes(5167)),
    "LIBXC_TSC_INFO_LENGTH": b.hvm_stream(rec(libxc.X86_TSC_INFO, bytes(23))),
    "LIBXC_TSC_INFO_RESERVED_ZERO": tsc(0, 1, 2, 3, 4),
    "LIBXC_TSC_INFO_MODE_KNOWN": tsc(4, 1, 2, 3),
    "LIBXC_HVM_PARAMS_BEFORE_CONTEXT": b.hvm_stream(tail=b.CONTEXT + b.PARAMS),
    "LIBXC_HVM_PARAMS_LENGTH": b.hvm_stream(rec(libxc.HVM_PARAMS, b"\2" + bytes(23))),
    "LIBXC_HVM_PARAMS_ENDS": b.hvm_stream(rec(libxc.HVM_PARAMS, b"\1" + bytes(24))),
    "LIBXC_HVM_PARAMS_RESERVED_ZERO": b.hvm_stream(
        rec(libxc.HVM_PARAMS, HvmParams(((1, 2),), 1).to_bytes())
    ),
    "LIBXC_HVM_PARAMS_NOT_EMPTY": b.hvm_stream(rec(libxc.HVM_PARAMS, bytes(8))),
    "LIBXC_HVM_CONTEXT_NOT_EMPTY": context(b""),
    "HVM_CONTEXT_BOUNDED": context(bytes(LONG)),
    "HVM_HEADER_FIRST": context(b.raw_context(b.entry(1, b.header_body(), 1))),
    "HVM_HEADER_MAGIC": context(b.raw_context(b.entry(1, b.header_body(magic=1)))),
    "HVM_HEADER_VERSION_1": context(b.raw_context(b.entry(1, b.header_body(version=2)))),
    "HVM_RECORDS_COMPLETE": context(b.raw_context()[:-8]),
    "HVM_END_EMPTY": context(b.entry(1, b.header_body()) + b.entry(0, b"x")),
    "HVM_END_LAST": context(b.raw_context(after=b"x")),
    "STREAM_ENDS_THE_INPUT": b.hvm_stream() + b"rubbish",
    "STREAM_MIGRATION_CONTROL": b.xl_image() + b"domain is yours, you are cleared to unpause",
    "STREAM_COMPLETE": b.hvm_stream()[:-8],
    "LIBVIRT_UNUSED_ZERO": frames.libvirt_file(unused=bytes([0, 1])),
    "LIBVIRT_XML_PRESENT": frames.libvirt_file(xml=b""),
    "LIBVIRT_XML_BOUNDED": frames.libvirt_file(xml=b" " * (1 << 21) + b"\0"),
    "LIBVIRT_XML_TERMINATED": frames.libvirt_file(xml=frames.DOMAIN.encode()),
    "LIBVIRT_XML_PLAIN": frames.libvirt_file(xml=b"<!DOCTYPE domain><domain/>\0"),
    "LIBVIRT_XML_READABLE": frames.libvirt_file(xml=b"<domain>\0"),
    "LIBVIRT_XML_DOMAIN": frames.libvirt_file(xml=b"<network><name>n</name></network>\0"),
    "XEND_CONFIG_PRESENT": frames.xend_file(legacy.hvm_stream(4), b""),
    "XEND_CONFIG_BOUNDED": frames.xend_file(legacy.hvm_stream(4), b"a" * (5 << 20)),
    "XEND_CONFIG_READABLE": frames.xend_file(legacy.hvm_stream(4), b"(domain"),
    "XENOPSD_VM_READABLE": frames.suspend_image(front=image(x.XENOPS, b"((time 1)")),
    "XENOPSD_VM_DESCRIBED": frames.suspend_image(front=frames.vm_record("((id 1)")),
    "XENOPSD_STREAM_ONCE": frames.suspend_image(devices=image(x.LIBXC) + frames.plain_stream()),
    "XENOPSD_DEVICES_AFTER_STREAM": frames.suspend_image(
        front=frames.vm_record() + image(x.QEMU_TRAD, frames.QEMU)
    ),
    "XENOPSD_QEMU_BOUNDED": frames.suspend_image(
        devices=image(x.QEMU_TRAD, frames.QEMU + bytes(1 << 20))
    ),
    "XENOPSD_QEMU_SIGNATURE": frames.suspend_image(devices=image(x.QEMU_TRAD, b"none")),
    "XENOPSD_VARIABLES_READABLE": frames.suspend_image(devices=image(x.VARSTORED, b"none")),
    "XENOPSD_TPM_BASE64": frames.suspend_image(devices=image(x.SWTPM, b"/")),
    "XENOPSD_STREAM_PRESENT": x.MAGIC + frames.vm_record() + image(x.END_OF_IMAGE),
    "XENOPSD_XENOPS_FIRST": frames.suspend_image(front=b""),
    "XENOPSD_LENGTH_FITS_TYPE": (
        x.MAGIC
        + frames.vm_record()
        + image(x.LIBXC, length=24)
        + frames.plain_stream()
        + image(x.END_OF_IMAGE)
    ),
    "XENOPSD_TYPE_READ": frames.suspend_image(devices=image(x.QEMU_XEN, b"")),
    "LEGACY_BATCH_PFNS_UNIQUE": legacy.hvm_stream(extra=legacy.pages((9, 9))),
    "LEGACY_BATCH_NOT_EMPTY": legacy.hvm_stream(extra=legacy.batch([0xF0000000] * 3, b"")),
    "LEGACY_PAGE_TYPE_KNOWN": legacy.hvm_stream(extra=legacy.batch([0x5 << 28], bytes(4096))),
    "LEGACY_PFN_IN_P2M": legacy.pv_stream(extra=legacy.pages((64, 65))),
    "LEGACY_PARAM_FITS_GUEST": legacy.pv_stream(extra=legacy.param(-8, 5)),
    "LEGACY_PARAM_PAD_ZERO": legacy.hvm_stream(extra=legacy.param(-8, 5, pad=7)),
    "LEGACY_VCPUS_BELOW_MAXIMUM": legacy.hvm_stream(extra=legacy.vcpu_info((0, 5), max_id=2)),
    "LEGACY_VCPU_INFO_PRESENT": (
        legacy.pv_front() + legacy.TSC + legacy.LAST + legacy.END + legacy.pv_tail(vcpus=0)
    ),
    "LEGACY_TOOLSTACK_READABLE": legacy.hvm_stream(extra=legacy.toolstack([b"no NUL"])),
    "LEGACY_DEVICE_MODEL_QEMU": legacy.hvm_stream(
        tail=legacy.hvm_tail(device_model=b"DeviceModelRecord0002\4\0\0\0none")
    ),
    "LEGACY_TSC_INFO_PRESENT": legacy.hvm_stream(body=legacy.pages(range(3))),
    "STREAM_WELL_FORMED": b"neither of them",
    "STREAM_SUPPORTED": libxc.ImageHeader(4).to_bytes(),
    "STREAM_WITHIN_LIMITS": None,
}

SEVERITY = {rule.id: rule.severity for rule in rules()}


def found(data, **options):
    return list(verify(MemorySource(data), **options))


def test_every_rule_has_a_case():
    assert list(dict.fromkeys(CASES)) == list(CASES)
    listed = {rule.id for rule in rules()}
    assert listed - set(CASES) == set(), (
        "give each of these rules a stream that breaks it, in CASES"
    )
    assert set(CASES) - listed == set(), "no check lists these rules: take out their cases"


def test_rules_are_told_apart():
    assert len({rule.id for rule in rules()}) == len(rules())
    assert len({rule.sentence for rule in rules()}) == len(rules())
    assert {rule.severity for rule in rules()} == {ERROR, WARNING, NOTE}


@pytest.mark.parametrize("rule", [rule for rule in CASES if CASES[rule] is not None])
def test_a_broken_rule_is_found(rule):
    findings = [finding for finding in found(CASES[rule]) if finding.rule == rule]
    assert findings, f"{rule} not found"
    for finding in findings:
        assert finding.severity == SEVERITY[rule]
        assert 0 <= finding.place.offset <= len(CASES[rule])
        assert rule in ("STREAM_WELL_FORMED",) or finding.place.record


# Where one injury cannot but break other rules as well.
ALSO = {
    "LIBXL_LIBXC_CONTEXT_ONCE": {"LIBXC_STATIC_DATA_END_ONCE", "LIBXC_HVM_PARAMS_BEFORE_CONTEXT"},
    "LIBXC_RECORD_LENGTH_BOUNDED": {"LIBXC_RECORD_OPTIONAL_KNOWN", "STREAM_COMPLETE"},
    "LIBXC_PADDING_ZERO": {"LIBXC_RECORD_OPTIONAL_KNOWN"},
    "LIBXC_DIRTY_PFN_LIST_LENGTH": {"LIBXC_DIRTY_PFN_LIST_BACKWARD"},
    "LIBXL_END_OUTSIDE_CHECKPOINT": {
        "LIBXC_CHECKPOINT_ABSENT",
        "LIBXL_EMULATOR_CONTEXT_PRESENT",
    },
    "LIBXL_PADDING_ZERO": {"LIBXL_EMULATOR_STATE_QEMU"},
    "LIBXL_RECORD_FITS_RELEASE": {"LIBXL_CHECKPOINT_STATE_EXPECTED"},
    "LIBXC_RECORD_FITS_RELEASE": {"LIBXC_DIRTY_PFN_LIST_BACKWARD"},
    "LIBXL_CHECKPOINT_STATE_LENGTH": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_CHECKPOINT_STATE_KNOWN": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_CHECKPOINT_STATE_PADDING_ZERO": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_XENSTORE_KEY_RELATIVE": {"LIBXL_XENSTORE_KEY_CHARACTERS"},
    "LIBXC_PAGE_SIZE_4096": {"LIBXC_PAGE_SHIFT_12"},
    "LIBXC_RECORD_LENGTH_8_MIB": {"LIBXC_MARKER_EMPTY"},
    "LIBXC_STATIC_DATA_END_BEFORE_MEMORY": {"LIBXC_STATIC_DATA_END_FIRST"},
    "LIBXC_PAGE_DATA_COUNT_BOUNDED": {"LIBXC_RECORD_LENGTH_8_MIB"},
    "HVM_CONTEXT_BOUNDED": {"LIBXC_RECORD_LENGTH_8_MIB"},
    "LIBXC_PAGE_TYPE_KNOWN": {"LIBXC_PAGE_DATA_LENGTH"},
}


@pytest.mark.parametrize("rule", [rule for rule in CASES if CASES[rule] is not None])
def test_a_broken_rule_breaks_no_other(rule):
    others = {finding.rule for finding in found(CASES[rule])} - {rule}
    if rule.startswith(("LIBVIRT", "XENOPSD")):
        # The builders of frames put params where Xen itself does.
        others -= {"LIBXC_HVM_PARAMS_BEFORE_CONTEXT", "LIBXC_STATIC_DATA_END_ONCE"}
    assert others <= ALSO.get(rule, set())


@pytest.mark.parametrize(
    "data",
    [
        b.hvm_stream(),
        b.hvm_stream(before=b"", version=2),
        b.pv_stream(),
        b.libxl_stream(),
        b.libxl_stream(None, b.xenstore(b"key\0value\0")),
        b.xl_image(),
        b.raw_context(),
        frames.libvirt_file(b.libxl_stream()),
        frames.libvirt_file(legacy.hvm_stream(), version=1),
        frames.suspend_image(b.hvm_stream()),
        frames.xend_file(legacy.hvm_stream(4)),
        frames.suspend_image(b.hvm_stream()) + b"what the disk held before",
        frames.legacy_suspend_image(legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=b""))),
        frames.legacy_suspend_image(legacy.pv_stream(4, 4), b""),
        *(legacy.hvm_stream(width) for width in (4, 8)),
        *(legacy.pv_stream(width, guest) for width, guest in ((8, 8), (8, 4), (4, 4))),
        b.xl_image(mandatory_flags=1, stream=legacy.hvm_stream()),
        b.hvm_stream(rec(libxc.VERIFY), b.pages(), b.pages((2, 0xF << 60 | 3))),
        b.libxl_stream(b.hvm_stream(b.PARAMS, CHECKPOINT, b.emulator(), C_END, b.pages())),
        state(),
        state(bytes(8)),
    ],
)
def test_nothing_is_found_in_valid_streams(data):
    """But for checkpoints: a note tells that a plain restore takes none."""
    assert [finding for finding in found(data) if finding.rule != "LIBXC_CHECKPOINT_ABSENT"] == []


def test_it_goes_on_after_findings():
    stream = b.hvm_stream(
        rec(0x7FFF0013), rec(0x80000001, b"1", b"\1" * 7), memory=b.pages(()), domain_reserved=3
    )
    assert [finding.rule for finding in found(stream)] == [
        "LIBXC_DOMAIN_RESERVED_ZERO",
        "LIBXC_PAGE_DATA_COUNT_POSITIVE",
        "LIBXC_RECORD_MANDATORY_KNOWN",
        "LIBXC_RECORD_OPTIONAL_KNOWN",
        "LIBXC_PADDING_ZERO",
    ]


def test_findings_say_where():
    stream = pfn(1 << 52)
    (finding,) = found(stream)
    at = finding.place.offset
    assert stream[at : at + 8] == (1 << 52).to_bytes(8, "little")
    assert finding.place.record == "libxc PAGE_DATA"
    assert "pfn[2]" in finding.message


@pytest.mark.parametrize("type_", range(16))
def test_page_types_with_and_without_data(type_):
    """XEN_DOMCTL_PFINFO_*: 0 - 4 and 9 - 12 have data, 13 - 15 have none, 5 - 8 are reserved."""
    word = type_ << 60 | 5
    with_data = {f.rule for f in found(b.hvm_stream(memory=b.pages((word,), bytes(4096))))}
    without = {f.rule for f in found(b.hvm_stream(memory=b.pages((word,), b"")))}
    if type_ in (5, 6, 7, 8):
        assert "LIBXC_PAGE_TYPE_KNOWN" in with_data & without
    else:
        dataless = type_ >= 13
        assert ("LIBXC_PAGE_DATA_LENGTH" in with_data) == dataless
        assert ("LIBXC_PAGE_DATA_LENGTH" in without) == (not dataless)


def test_limits_are_findings():
    (finding,) = verify(MemorySource(b.hvm_stream(), max_size=100))
    assert finding.rule == "STREAM_WITHIN_LIMITS"


def test_a_check_may_only_report_what_its_row_lists(monkeypatch):
    (row,) = [check for check in checks() if check.function is hvm.tsc_info]
    shortened = row._replace(rules=tuple(rule for rule in row.rules if rule is not hvm.TSC_MODE))

    def checks_of(layer):
        return tuple(shortened if check is row else check for check in table.checks_of(layer))

    monkeypatch.setattr(run, "checks_of", checks_of)
    with pytest.raises(AssertionError, match="LIBXC_TSC_INFO_MODE_KNOWN"):
        found(CASES["LIBXC_TSC_INFO_MODE_KNOWN"])


def test_every_reader_of_a_rule_is_one_that_there_is():
    for rule in rules():
        for reader in rule.readers:
            assert reader.layer in ("libvirt", "xenopsd", "xl", "libxl", "libxc")
            assert reader.cite.function


def test_every_check_has_rules():
    assert all(check.rules for check in checks())
    assert xl.KNOWN_FLAGS == 3


def test_a_count_that_lies_allocates_nothing():
    import tracemalloc

    body = struct.pack("<II", 0xFFFFFFFF, 0) + PageData((1,)).to_bytes()
    tracemalloc.start()
    rules = {f.rule for f in found(b.hvm_stream(memory=rec(libxc.PAGE_DATA, body)))}
    assert "LIBXC_PAGE_DATA_PFNS_FIT" in rules
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
