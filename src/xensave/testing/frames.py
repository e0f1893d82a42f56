"""Frames of other toolstacks around streams: libvirt's save files, xenopsd's suspend images.

>>> from xensave.container import walk
>>> from xensave.source import open_source
>>> [event.label for event in walk(open_source(suspend_image()))][:3]
['xenopsd signature', 'xenopsd Xenops', 'xenopsd Libxc']
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping

from xensave.container.frames import libvirt, xend
from xensave.container.frames import xenopsd as x
from xensave.container.streams import varstored
from xensave.testing.streams import emulator, hvm_tail, libxc_stream, libxl_stream, memory

DOMAIN = (
    "<domain type='xen' id='4'>\n  <name>guest</name>\n"
    "  <uuid>f9db1d43-ac22-4143-ae90-af62d1d61a74</uuid>\n"
    "  <memory unit='MiB'>32</memory>\n  <vcpu>1</vcpu>\n"
    "  <os><type arch='x86_64' machine='xenfv'>hvm</type></os>\n"
    "  <features><acpi/><apic/><pae/></features>\n</domain>\n"
)
VM = (
    '((id 7d1c2a34-5b6e-4f70-8a91-b2c3d4e5f601)(name "guest (\\"quoted\\")")(ty(HVM((hap true))))'
    "(memory_static_max 33554432)(vcpu_max 2)(vcpus 1))"
)
XEND_CONFIG = (
    b"(domain (domid 3) (name guest) (uuid 7d1c2a34) (vcpus 1) (maxmem 32) (memory 32)"
    b" (image (hvm (kernel hvmloader) (serial pty))))"
)
QEMU = b"QEVM\0\0\0\3"


def libvirt_file(
    stream: bytes | None = None,
    xml: bytes = DOMAIN.encode() + b"\0",
    version: int = 2,
    unused: bytes = b"",
) -> bytes:
    """Returns a save file of libvirt around a stream, by default a libxl stream of version 3."""
    inner = libxl_stream(plain_stream(), emulator()) if stream is None else stream
    return libvirt.LibvirtHeader(version, len(xml), unused).to_bytes() + xml + inner


def plain_stream(release: str = "4.17") -> bytes:
    """Returns the libxc stream of an HVM guest of one page."""
    return libxc_stream(memory(1) + hvm_tail(release), release)


def record(type_: int, body: bytes = b"", length: int | None = None) -> bytes:
    """Returns a record of a suspend image."""
    return x.PAIR.pack(type_, len(body) if length is None else length) + body


def vm_record(vm: str = VM) -> bytes:
    """Returns the record of the VM, its own expression quoted in another."""
    quoted = vm.replace("\\", "\\\\").replace('"', '\\"')
    text = f'((time 20260801T09:15:30Z)(word_size 64)(vm_str "{quoted}")(xs_subtree()))'
    return record(x.XENOPS, text.encode())


def variables(values: Mapping[str, bytes]) -> bytes:
    """Returns the body of varstored's record."""
    body = b""
    for name, data in values.items():
        wide = name.encode("utf-16-le")
        body += struct.pack("<Q", len(wide)) + wide + struct.pack("<Q", len(data)) + data
        body += bytes(16) + struct.pack("<I", 7) + bytes(16 + 32)
    head = struct.pack("<4sIQQ", varstored.MAGIC, 2, len(values), len(body))
    return head + bytes(8 + 0x104) + body


def suspend_image(
    stream: bytes | None = None, *, front: bytes | None = None, devices: bytes | None = None
) -> bytes:
    """Returns a suspend image of an HVM guest with UEFI and a TPM."""
    if devices is None:
        devices = (
            record(x.VARSTORED, variables({"BootOrder": b"\0\0", "SecureBoot": b"\1"}))
            + record(x.SWTPM, base64.b64encode(bytes(range(99))))
            + record(x.QEMU_TRAD, QEMU)
        )
    return b"".join(
        (
            x.MAGIC,
            vm_record() if front is None else front,
            record(x.LIBXC) + (plain_stream() if stream is None else stream),
            devices,
            record(x.END_OF_IMAGE),
        )
    )


def xend_file(stream: bytes, config: bytes = XEND_CONFIG) -> bytes:
    """Returns what xend saved of a guest."""
    return xend.XendHeader(len(config)).to_bytes() + config + stream


def legacy_suspend_image(stream: bytes, device_model: bytes = QEMU) -> bytes:
    """Returns a suspend image of old: a legacy stream without a device model, and xenopsd's own."""
    model = b"QemuDeviceModelRecord\n" + struct.pack(">I", len(device_model)) + device_model
    return x.LEGACY_MAGIC + stream + (model if device_model else b"")
