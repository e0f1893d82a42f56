"""Rules of libvirt's save files (libxlDomainSaveImageOpen() in src/libxl/libxl_domain.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBVIRT, Event
from xensave.container.frames import libvirt
from xensave.errors import LimitExceeded, Unsupported, XensaveError
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.state import StreamState

_OPENS = refused_by(LIBVIRT, "libxlDomainSaveImageOpen")
_PARSES = refused_by(LIBVIRT, "virDomainDefParseString")

UNUSED = StreamRule(
    "LIBVIRT_UNUSED_ZERO", NOTE, "The ten unused words of libvirt's header are zero."
)
PRESENT = StreamRule("LIBVIRT_XML_PRESENT", ERROR, "libvirt's header announces XML.", _OPENS)
BOUNDED = StreamRule(
    "LIBVIRT_XML_BOUNDED", WARNING, "libvirt's XML is of a size to be looked into."
)
TERMINATED = StreamRule("LIBVIRT_XML_TERMINATED", WARNING, "libvirt's XML ends in NUL.")
PLAIN = StreamRule(
    "LIBVIRT_XML_PLAIN", WARNING, "libvirt's XML has no DTD, and is not nested deeply."
)
READABLE = StreamRule("LIBVIRT_XML_READABLE", ERROR, "libvirt's XML is well-formed.", _PARSES)
DOMAIN = StreamRule(
    "LIBVIRT_XML_DOMAIN", ERROR, "libvirt's XML is of a domain with a name.", _PARSES
)


def header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the words of the header."""
    head = event.header
    assert isinstance(head, libvirt.LibvirtHeader)
    if head.unused:
        yield Fault(UNUSED, f"unused words are {head.unused[:16].hex(' ')}", event.offset + 24)
    if not head.xml_length:
        yield Fault(PRESENT, "no XML: libvirt refuses it")


def domain_xml(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the XML."""
    if not event.length:
        return
    if event.length > libvirt.XML_LIMIT:
        yield Fault(BOUNDED, f"{event.length} bytes of XML are not looked into")
        return
    body = bytes(event.body())
    if not body.endswith(b"\0"):
        yield Fault(TERMINATED, "the last byte is not NUL", event.body_offset + event.length - 1)
    try:
        root = libvirt.parse_xml(body)
    except LimitExceeded as error:
        yield Fault(BOUNDED, f"{error.message}: it is not looked into", event.body_offset)
        return
    except Unsupported as error:
        yield Fault(PLAIN, error.message, event.body_offset)
        return
    except XensaveError as error:
        yield Fault(READABLE, error.message, event.body_offset)
        return
    if root.name != "domain" or not root.text_of("name"):
        yield Fault(DOMAIN, f"an element {root.name!r} without a domain's name", event.body_offset)


# fmt: off
CHECKS = (
    Check(LIBVIRT, (), header, (UNUSED, PRESENT), "header"),
    Check(LIBVIRT, (), domain_xml, (BOUNDED, TERMINATED, PLAIN, READABLE, DOMAIN), "header"),
)
# fmt: on
