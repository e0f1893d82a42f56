"""A stream for each rule of the table, which breaks it."""

import struct

from tests.rules_stream import builders as b
from xensave.container.frames import xenopsd as x
from xensave.container.frames import xl
from xensave.container.framing import HEADER
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import HvmParams, P2mFrames, PvInfo, TscInfo
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
    "XENOPSD_VM_BOUNDED": frames.suspend_image(front=image(x.XENOPS, b"(" * 100 + b")" * 100)),
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
