"""libxc's stream, versions 2 and 3: an image header, a domain header, records up to END.

Source: docs/specs/libxc-migration-stream.pandoc; tools/libs/guest/xg_sr_stream_format.h. Version 2
is written by Xen 4.6 - 4.13, version 3 by 4.14 and later.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from xensave.container.events import LIBXC, Event
from xensave.container.format import Format
from xensave.container.reading import read_header, read_record
from xensave.errors import Malformed, Unsupported
from xensave.source import Source

MAGIC = b"\xff" * 8 + b"XENF"
IMAGE_SIZE = 24
DOMAIN_SIZE = 16
VERSIONS = (2, 3)
OPTION_BIG_ENDIAN = 1 << 0

PV = 1
HVM = 2
DOMAIN_TYPES = {PV: "x86 PV", HVM: "x86 HVM"}
PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PFN_MASK = (1 << 52) - 1
TYPE_SHIFT = 60
"""The page type stands above a PFN in its word."""

END = 0x00
PAGE_DATA = 0x01
X86_PV_INFO = 0x02
X86_PV_P2M_FRAMES = 0x03
X86_PV_VCPU_BASIC = 0x04
X86_PV_VCPU_EXTENDED = 0x05
X86_PV_VCPU_XSAVE = 0x06
SHARED_INFO = 0x07
X86_TSC_INFO = 0x08
HVM_CONTEXT = 0x09
HVM_PARAMS = 0x0A
TOOLSTACK = 0x0B
X86_PV_VCPU_MSRS = 0x0C
VERIFY = 0x0D
CHECKPOINT = 0x0E
CHECKPOINT_DIRTY_PFN_LIST = 0x0F
STATIC_DATA_END = 0x10
X86_CPUID_POLICY = 0x11
X86_MSR_POLICY = 0x12

RECORDS = {
    END: "END",
    PAGE_DATA: "PAGE_DATA",
    X86_PV_INFO: "X86_PV_INFO",
    X86_PV_P2M_FRAMES: "X86_PV_P2M_FRAMES",
    X86_PV_VCPU_BASIC: "X86_PV_VCPU_BASIC",
    X86_PV_VCPU_EXTENDED: "X86_PV_VCPU_EXTENDED",
    X86_PV_VCPU_XSAVE: "X86_PV_VCPU_XSAVE",
    SHARED_INFO: "SHARED_INFO",
    X86_TSC_INFO: "X86_TSC_INFO",
    HVM_CONTEXT: "HVM_CONTEXT",
    HVM_PARAMS: "HVM_PARAMS",
    TOOLSTACK: "TOOLSTACK",
    X86_PV_VCPU_MSRS: "X86_PV_VCPU_MSRS",
    VERIFY: "VERIFY",
    CHECKPOINT: "CHECKPOINT",
    CHECKPOINT_DIRTY_PFN_LIST: "CHECKPOINT_DIRTY_PFN_LIST",
    STATIC_DATA_END: "STATIC_DATA_END",
    X86_CPUID_POLICY: "X86_CPUID_POLICY",
    X86_MSR_POLICY: "X86_MSR_POLICY",
}

_IMAGE = struct.Struct(">12sIHHI")
_DOMAIN = struct.Struct("<IHHII")


class ImageHeader(NamedTuple):
    """What begins a libxc stream; every field of it is big-endian.

    >>> ImageHeader.parse(ImageHeader(version=3).to_bytes())
    ImageHeader(version=3, options=0, reserved=(0, 0))
    """

    version: int = 3
    options: int = 0
    reserved: tuple[int, int] = (0, 0)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "ImageHeader":
        """Reads IMAGE_SIZE bytes. Raises Malformed or Unsupported where nothing can follow."""
        magic, version, options, reserved1, reserved2 = _IMAGE.unpack(data)
        if magic != MAGIC:
            raise Malformed("not the marker of a libxc stream", record=_IMAGE_NAME)
        if version not in VERSIONS:
            raise Unsupported(
                f"libxc stream of version {version}, expected 2 or 3", record=_IMAGE_NAME
            )
        if options & OPTION_BIG_ENDIAN:
            raise Unsupported("big-endian libxc stream", record=_IMAGE_NAME)
        return cls(version, options, (reserved1, reserved2))

    def to_bytes(self) -> bytes:
        """Returns the IMAGE_SIZE bytes again."""
        return _IMAGE.pack(MAGIC, self.version, self.options, *self.reserved)

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        return f"version {self.version}"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return LIBXC


class DomainHeader(NamedTuple):
    """The guest's type, its page size as a power of two, and the Xen that saved it.

    `xen_major` 0 says that a legacy stream was converted.

    >>> header = DomainHeader(HVM, xen_major=4, xen_minor=17)
    >>> DomainHeader.parse(header.to_bytes()).type_name
    'x86 HVM'
    """

    type: int
    page_shift: int = PAGE_SHIFT
    reserved: int = 0
    xen_major: int = 4
    xen_minor: int = 0

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "DomainHeader":
        """Reads DOMAIN_SIZE bytes."""
        return cls(*_DOMAIN.unpack(data))

    def to_bytes(self) -> bytes:
        """Returns the DOMAIN_SIZE bytes again."""
        return _DOMAIN.pack(*self)

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        if not self.xen_major:
            return f"{self.type_name}, converted from a legacy stream"
        return f"{self.type_name} from Xen {self.xen_major}.{self.xen_minor}"

    @property
    def begins(self) -> str:
        """No layer begins here."""
        return ""

    @property
    def version(self) -> None:
        """The image header has the version."""
        return

    @property
    def xen(self) -> str | None:
        """The version of the Xen that saved it: "4.17"; None for a converted legacy stream."""
        return f"{self.xen_major}.{self.xen_minor}" if self.xen_major else None

    @property
    def type_name(self) -> str:
        """The guest's type in words, or its number."""
        return DOMAIN_TYPES.get(self.type, f"reserved type {self.type:#x}")


_IMAGE_NAME = "libxc image header"

Between = Callable[[Source, Event], Iterator[Event]]
"""Yields what lies between a CHECKPOINT and the next libxc record, after the domain header."""


class Libxc(Format):
    """A libxc stream alone, as libxc's own tools and xenopsd write it.

    VERIFY marks that the memory records after it repeat what was sent; it changes nothing in
    the framing.
    """

    name = LIBXC
    inner = LIBXC
    title = "a libxc stream"
    magics = (MAGIC,)
    records = RECORDS
    page = "docs/reference/formats/xl.md"

    def walk(
        self, source: Source, between: Between | None = None, *, stored: bool = False
    ) -> Iterator[Event]:
        """Yields the headers and the records; after a CHECKPOINT, what is `between`."""
        yield read_header(source, LIBXC, "image header", size=IMAGE_SIZE, parse=ImageHeader.parse)
        domain = read_header(
            source, LIBXC, "domain header", size=DOMAIN_SIZE, parse=DomainHeader.parse
        )
        yield domain
        while True:
            event = read_record(source, LIBXC, RECORDS)
            yield event
            event.finish()
            if event.type == CHECKPOINT and between is not None:
                yield from between(source, domain)
            elif event.type == END:
                return


LIBXC_FORMAT = Libxc()
