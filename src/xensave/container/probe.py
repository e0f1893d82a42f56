"""What an input is, by its first bytes: one explicit table, asked from top to bottom."""

from collections.abc import Callable
from typing import NamedTuple

from xensave.container import hvm, libxc, libxl, xl
from xensave.container.events import HVM, LIBXC, LIBXL, XL
from xensave.errors import Malformed, Unsupported

HEAD_SIZE = 40


class Probe(NamedTuple):
    """A format, how its first bytes look, and, where it is not read, what it is called."""

    format: str
    matches: Callable[[bytes], bool]
    unread: str | None = None


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _context(head: bytes) -> bool:
    return (
        head[:4] == hvm.DESCRIPTOR.pack(hvm.HEADER_TYPECODE, 0, 0)[:4]
        and int.from_bytes(head[8:12], "little") == hvm.HEADER_MAGIC
    )


def _legacy(head: bytes) -> bool:
    """Tell a legacy libxc image: a p2m size below 2^40, then 0 (64 bit) or the PV chunk's id."""
    low, high = head[:4], head[4:8]
    return len(head) >= 8 and low != bytes(4) and high in (bytes(4), b"\xff" * 4)


PROBES = (
    Probe(XL, _starts(xl.MAGIC)),
    Probe(LIBXL, _starts(libxl.MAGIC)),
    Probe(LIBXC, _starts(libxc.MAGIC)),
    Probe(HVM, _context),
    Probe("libvirt", _starts(b"libvirt-xml\n \0 \r"), "a libvirt save file"),
    Probe("xenopsd", _starts(b"XenSavedDomain\n", b"XenSavedDomv2-\n"), "a xenopsd suspend image"),
    Probe("xend", _starts(b"LinuxGuestRecord"), "a xend save file (Xen 4.4 and earlier)"),
    Probe(
        "qemu",
        _starts(b"QEVM", b"DeviceModelRecord0002", b"QemuDeviceModelRecord"),
        "a device model's state without the guest's",
    ),
    Probe("elf", _starts(b"\x7fELF"), "an ELF file (a core dump is no save image)"),
    Probe("legacy", _legacy, "a legacy stream (Xen 4.5 and earlier)"),
)


def probe(head: bytes) -> str:
    """Return the format (XL, LIBXL, LIBXC or HVM) that the first HEAD_SIZE bytes announce.

    Raises Unsupported for what is known and not read, Malformed for anything else.

    >>> probe(b"LibxlFmt" + bytes(8))
    'libxl'
    """
    for candidate in PROBES:
        if candidate.matches(head):
            if candidate.unread:
                raise Unsupported(f"{candidate.unread}, which xensave does not read", offset=0)
            return candidate.format
    raise Malformed(
        f"no Xen save image: it begins with {head[:16].hex(' ')}, "
        "expected an xl header, a libxl or libxc stream, or an HVM context",
        offset=0,
    )
