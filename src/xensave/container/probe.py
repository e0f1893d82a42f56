"""What an input is, by its first bytes: the formats that are read, then those that are known."""

from itertools import chain

from xensave.container import formats
from xensave.container.streams.hvm import HVM_FORMAT
from xensave.errors import Malformed, Unsupported
from xensave.source.compression import recognise

HEAD_SIZE = 64


UNREAD: dict[str, tuple[bytes, ...]] = {
    "a device model's state without the guest's": (
        b"QEVM",
        b"DeviceModelRecord0002",
        b"QemuDeviceModelRecord",
    ),
    "a qcow2 disk (qemu-img convert -O raw unpacks it)": (b"QFI\xfb",),
    "a VHDX disk (qemu-img convert -O raw unpacks it)": (b"vhdxfile",),
    "a VMDK disk (qemu-img convert -O raw unpacks it)": (b"KDMV",),
    "a save file of libvirt's QEMU driver, of no Xen guest": (
        b"LibvirtQemudSave",
        b"LibvirtQemudPart",
    ),
    "an ELF file (a core dump is no save image)": (b"\x7fELF",),
}
"""What is known and not read: what it is called, and how it begins."""
FOREIGN: dict[str, tuple[bytes, ...]] = {
    "a zip archive": (b"PK\x03\x04",),
    "a program of Windows": (b"MZ\x90\0\x03\0\0\0",),
}
"""What two numbers of a legacy stream would be taken for, and is nothing of Xen's."""


def probe(head: bytes) -> str:
    """Returns the name of the format that the first HEAD_SIZE bytes announce.

    Raises Unsupported for what is known and not read, Malformed for anything else.

    >>> probe(b"LibxlFmt" + bytes(8))
    'libxl'
    """
    for title, magics in FOREIGN.items():
        if head.startswith(magics):
            raise Malformed(f"no Xen save image: {title}", offset=0)
    # No other format begins as a context does: asked first, it spares the import of the others.
    for candidate in chain((HVM_FORMAT,), formats.FORMATS):
        if candidate.matches(head):
            return candidate.name
    for title, magics in UNREAD.items():
        if head.startswith(magics):
            raise Unsupported(f"{title}, which xensave does not read", offset=0)
    again = recognise(head)
    if again is not None:
        raise Unsupported(f"compressed once more, by {again}: decompress it first", offset=0)
    raise Malformed(
        f"no Xen save image: it begins with {head[:16].hex(' ')}, "
        f"expected {', '.join(each.title for each in formats.FORMATS)}",
        offset=0,
    )
