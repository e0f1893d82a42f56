r"""What libvirt's libxl driver saves: a header, the domain's XML with its NUL, and a stream.

64 bytes: a magic, a version (that of the stream: 2 is a libxl stream, 1 a legacy one), the
length of the XML, ten unused words. Source: struct _libxlSavefileHeader in
src/libxl/libxl_conf.h of libvirt, libxlDomainSaveImageOpen() in src/libxl/libxl_domain.c.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.description import GuestDescription, Json, configuration
from xensave.container.events import LEGACY, LIBVIRT, LIBXL, Event, Header
from xensave.container.format import Format
from xensave.container.formats import format_named
from xensave.container.reading import read_front
from xensave.container.streams.libxl import LIBXL_FORMAT
from xensave.errors import LimitExceeded, Malformed, Unsupported, UsageError, XensaveError
from xensave.source import Source

MAGIC = b"libvirt-xml\n \0 \r"
SIZE = 64
VERSION = 2
LEGACY_VERSION = 1
XML_LIMIT = 1 << 20
"""Longer XML is not parsed; a domain's has a few KiB."""
DEPTH_LIMIT = 64
"""Elements within elements; libvirt's go about ten deep."""

ELEMENTS_LIMIT = 1 << 16
"""Elements, each of which takes some 260 bytes; a domain's XML has a few hundred."""

_ENCODING = 18
"""expat's XML_ERROR_UNKNOWN_ENCODING, which is imported when used."""
_WORDS = struct.Struct("<II40s")
_RECORD = "libvirt header"
_POWERS = {letter: power for power, letter in enumerate("kmgtpe", 1)}
_DETAILS = {
    "uuid": "uuid",
    "title": "title",
    "loader": "os/loader",
    "kernel": "os/kernel",
    "vcpus": "vcpu",
}
_TYPES = {"hvm": "hvm", "xen": "pv", "linux": "pv", "xenpvh": "pvh"}


class LibvirtHeader(NamedTuple):
    """The fixed part of the header; `xml_length` bytes of XML follow it, the NUL included.

    >>> LibvirtHeader.parse(LibvirtHeader(xml_length=9).to_bytes())
    LibvirtHeader(version=2, xml_length=9, unused=b'')
    """

    version: int = VERSION
    xml_length: int = 0
    unused: bytes = b""

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "LibvirtHeader":
        """Reads SIZE bytes. Raises Malformed for a bad magic, Unsupported for a later version."""
        if bytes(data[: len(MAGIC)]) != MAGIC:
            raise Malformed("not the magic of a libvirt save file", record=_RECORD)
        version, length, unused = _WORDS.unpack_from(data, len(MAGIC))
        if version not in (LEGACY_VERSION, VERSION):
            raise Unsupported(f"version {version}, expected 1 or 2", record=_RECORD)
        return cls(version, length, unused.rstrip(b"\0"))

    def to_bytes(self) -> bytes:
        """Returns the SIZE bytes again."""
        return MAGIC + _WORDS.pack(self.version, self.xml_length, self.unused)

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        return f"version {self.version}, {self.xml_length} bytes of XML"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return LIBVIRT


class Libvirt(Format):
    """A save file of libvirt: `virsh save`, `virsh managedsave`."""

    name = LIBVIRT
    inner = LIBXL
    demands = "the domain's XML"
    title = "a libvirt save file"
    magics = (MAGIC,)
    page = "docs/reference/formats/libvirt.md"

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the header with the XML, and the events of the stream behind it."""
        header = yield from read_front(
            source, LIBVIRT, size=SIZE, parse=LibvirtHeader.parse, body=lambda head: head.xml_length
        )
        inner = format_named(LEGACY) if header.version == LEGACY_VERSION else LIBXL_FORMAT
        yield from inner.walk(source, stored=stored)

    def front(self, metadata: bytes, options: int = 0) -> bytes:
        """Returns a header with the XML, and what begins the libxl stream.

        Raises UsageError for XML that is not that of a domain with a name.
        """
        xml = metadata.rstrip(b"\0") + b"\0"
        try:
            root = parse_xml(xml)
        except XensaveError as error:
            raise UsageError(f"the domain's XML: {error.message}") from error
        if root.name != "domain" or not root.text_of("name"):
            raise UsageError("the domain's XML is none of a domain with a name")
        return LibvirtHeader(VERSION, len(xml)).to_bytes() + xml + LIBXL_FORMAT.front(b"", options)

    def back(self) -> bytes:
        """Returns what ends the libxl stream."""
        return LIBXL_FORMAT.back()

    def announcing(self, header: Header, *, legacy: bool = False) -> Header:
        """Returns the header with the version of a libxl stream, or of a legacy one."""
        assert isinstance(header, LibvirtHeader)
        return header._replace(version=LEGACY_VERSION if legacy else VERSION)

    def describe(self, body: bytes) -> GuestDescription:
        """Returns what the domain's XML says of a guest, in the shape of libxl's configuration."""
        try:
            root = parse_xml(body)
        except XensaveError as error:
            return GuestDescription(wrong=error)
        text = body.rstrip(b"\0").decode("utf-8", "replace")
        return GuestDescription(_config(root), text, tuple(_details(root)))


LIBVIRT_FORMAT = Libvirt()


class Element:
    """An element of XML: its attributes, its own text, and the elements in it."""

    __slots__ = ("attributes", "children", "name", "parts")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        """Its own text, that between the elements in it put together."""
        return "".join(self.parts)

    def find(self, path: str) -> "Element | None":
        """Returns the first element at a path: "os/type"."""
        place = self
        for name in path.split("/"):
            inner = next((each for each in place.children if each.name == name), None)
            if inner is None:
                return None
            place = inner
        return place

    def text_of(self, path: str) -> str:
        """Returns the text of the first element at a path, "" where there is none."""
        element = self.find(path)
        return element.text.strip() if element is not None else ""


def parse_xml(data: bytes) -> Element:
    """Returns the root element.

    It ends at the first NUL, as C has strings. Raises Malformed for what is no XML, Unsupported for
    XML that is not read here: with a document type, whose entities could blow it up, in an encoding
    that Python has not, or nested too deeply. Raises LimitExceeded above XML_LIMIT and
    ELEMENTS_LIMIT.

    >>> parse_xml(b"<domain><name>a &amp; b</name></domain>").text_of("name")
    'a & b'
    """
    from xml.parsers import expat

    if len(data) > XML_LIMIT:
        raise LimitExceeded(f"{len(data)} bytes of XML, the limit is {XML_LIMIT}", record=_RECORD)
    tree = _TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    try:
        parser.Parse(data.partition(b"\0")[0], True)
    except expat.ExpatError as error:
        kind = Unsupported if error.code == _ENCODING else Malformed
        raise kind(f"no XML: {error}", record=_RECORD) from error
    except (LookupError, ValueError) as error:
        # An encoding that Python has not, or of more than one byte.
        raise Unsupported(f"no XML that is read here: {error}", record=_RECORD) from error
    return tree.top.children[0]


class _TreeBuilder:
    """The elements of a document as the parser meets them, below an element without a name."""

    def __init__(self) -> None:
        self.top = Element("", {})
        self._open = [self.top]
        self._left = ELEMENTS_LIMIT

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0:
            raise LimitExceeded(f"XML of over {ELEMENTS_LIMIT:,} elements", record=_RECORD)
        if len(self._open) > DEPTH_LIMIT:
            raise Unsupported(f"XML nested deeper than {DEPTH_LIMIT}", record=_RECORD)
        element = Element(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, part: str) -> None:
        self._open[-1].parts.append(part)

    def doctype(self, *_: object) -> None:
        raise Unsupported("XML with a document type", record=_RECORD)


def _config(root: Element) -> dict[str, Json]:
    vcpus = root.text_of("vcpu")
    return configuration(
        root.text_of("name"),
        root.text_of("uuid"),
        _TYPES.get(root.text_of("os/type")),
        memkb=_memory(root.find("memory")),
        vcpus=int(vcpus[:9]) if vcpus.isdecimal() else None,
    )


def _memory(element: Element | None) -> int | None:
    """Returns an amount of memory in KiB; None for a number or a unit that libvirt knows not."""
    if element is None or not element.text.strip().isdecimal():
        return None
    scale = _scale(element.attributes.get("unit", "KiB").lower())
    return None if scale is None else int(element.text.strip()[:18]) * scale // 1024


def _scale(unit: str) -> int | None:
    """Returns the bytes of a unit, as virScaleInteger() of libvirt reads them: k, KB, KiB, TiB."""
    if unit in ("b", "bytes"):
        return 1
    power = _POWERS.get(unit[:1])
    if power is None or unit[1:] not in ("", "b", "ib"):
        return None
    step = 1000 if unit[1:] == "b" else 1024
    return int(step**power)


def _details(root: Element) -> Iterator[tuple[str, str]]:
    for label, path in _DETAILS.items():
        if root.text_of(path):
            yield label, root.text_of(path)
    features = root.find("features")
    if features is not None and features.children:
        yield "features", " ".join(each.name for each in features.children)
