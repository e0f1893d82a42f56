"""A walk over an image: every header and record of every layer, in order, forward only.

The layers nest: an xl header, then a libxl stream, whose LIBXC_CONTEXT record hands over to a
libxc stream, whose END hands back. In a checkpointed stream (Remus, COLO) libxc's CHECKPOINT
hands over to libxl's records up to CHECKPOINT_END, then libxc goes on. VERIFY marks that the
memory records after it repeat what was sent; it changes nothing in the framing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from xensave.container import libxc, libxl, xl
from xensave.container.events import (
    CONTEXT,
    HEADER_KIND,
    HVM,
    LIBXC,
    LIBXL,
    RECORD,
    TRAILER,
    XL,
    Event,
    Header,
)
from xensave.container.framing import HEADER, HEADER_SIZE, record_name
from xensave.container.probe import HEAD_SIZE, probe
from xensave.errors import Truncated, XensaveError
from xensave.source import MemorySource, Source, read_all
from xensave.source.limits import CHUNK

FORMATS = (XL, LIBXL, LIBXC, HVM)


def walk(source: Source, format: str | None = None) -> Iterator[Event]:
    """Yield the events of an image; `format` (of FORMATS) is told by its first bytes if not given.

    Raises Truncated where input ends before the outermost END, and Malformed or Unsupported
    where it cannot be followed. A record of unknown type is followed by its length.

    >>> from xensave.container import libxc
    >>> from xensave.container.framing import pack_record
    >>> from xensave.source import open_source
    >>> data = b"".join((libxc.ImageHeader().to_bytes(),
    ...                  libxc.DomainHeader(libxc.HVM).to_bytes(), pack_record(libxc.END)))
    >>> [event.label for event in walk(open_source(data))]
    ['libxc image header', 'libxc domain header', 'libxc END']
    """
    outer = inner = format or probe(bytes(source.peek(HEAD_SIZE)))
    if outer == HVM:
        yield from _context(source)
        return
    if outer == XL:
        inner = yield from _xl(source)
    if inner == LIBXL:
        yield from _libxl(source)
    else:
        yield from _libxc(source, nested=False)
    yield from _trailer(source, outer)


def _header(source: Source, layer: str, name: str, size: int, kind: type[Header]) -> Event:
    start = source.offset
    label = f"{layer} {name}"
    try:
        raw = source.read(size)
        parsed = kind.parse(raw)
    except XensaveError as error:
        error.record = label
        error.offset = start
        raise
    length = parsed.optional_length if isinstance(parsed, xl.XlHeader) else 0
    return Event(source, layer, HEADER_KIND, name, raw, length=length, header=parsed)


def _record(source: Source, layer: str, names: dict[int, str]) -> Event:
    try:
        raw = source.read(HEADER_SIZE)
    except Truncated as error:
        error.record = f"{layer} record header"
        if error.got == 0 and not error.path:
            error.message = "input ends without an END record"
        raise
    type_, length = HEADER.unpack(raw)
    name = names.get(type_) or record_name(type_, names)
    return Event(source, layer, RECORD, name, raw, length=length, type_=type_)


def _xl(source: Source) -> Generator[Event, None, str]:
    event = _header(source, XL, "header", xl.SIZE, xl.XlHeader)
    yield event
    event.finish()
    if isinstance(event.header, xl.XlHeader) and event.header.stream_v2:
        return LIBXL
    # Without the flag a libxc stream follows; all that xl itself wrote so are legacy ones.
    probe(bytes(source.peek(HEAD_SIZE)))
    return LIBXC


def _libxl(source: Source) -> Iterator[Event]:
    yield _header(source, LIBXL, "header", libxl.SIZE, libxl.LibxlHeader)
    while True:
        event = _record(source, LIBXL, libxl.RECORDS)
        yield event
        event.finish()
        if event.type == libxl.LIBXC_CONTEXT:
            yield from _libxc(source, nested=True)
        elif event.type == libxl.END:
            return


def _libxc(source: Source, *, nested: bool) -> Iterator[Event]:
    yield _header(source, LIBXC, "image header", libxc.IMAGE_SIZE, libxc.ImageHeader)
    domain = _header(source, LIBXC, "domain header", libxc.DOMAIN_SIZE, libxc.DomainHeader)
    yield domain
    while True:
        event = _record(source, LIBXC, libxc.RECORDS)
        yield event
        event.finish()
        if event.type == libxc.CHECKPOINT and nested:
            yield from _checkpoint(source, domain)
        elif event.type == libxc.END:
            return


def _checkpoint(source: Source, domain: Event) -> Iterator[Event]:
    """Yield libxl's records of a checkpoint, and the control records of COLO after it."""
    ended = False
    while not ended or _is_control(source, domain):
        event = _record(source, LIBXL, libxl.RECORDS)
        yield event
        event.finish()
        ended = ended or event.type in (libxl.CHECKPOINT_END, libxl.END)


def _is_control(source: Source, domain: Event) -> bool:
    """Tell CHECKPOINT_STATE from libxc's record of the same number, X86_PV_VCPU_EXTENDED.

    libxl writes it 4 bytes long (8 with the specification's padding); an empty
    X86_PV_VCPU_EXTENDED has 8, and only PV guests have it.
    """
    head = source.peek(HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        return False
    type_, length = HEADER.unpack(head)
    pv = isinstance(domain.header, libxc.DomainHeader) and domain.header.type == libxc.PV
    return type_ == libxl.CHECKPOINT_STATE and (length <= 4 or (length <= 8 and not pv))


def _context(source: Source) -> Iterator[Event]:
    # How long a context in a pipe is shows at its end only: it is taken in first.
    known = source if source.size is not None else MemorySource(read_all(source), source.name)
    length = (known.size or 0) - known.offset
    event = Event(known, HVM, CONTEXT, "context", memoryview(b""), length=length)
    yield event
    event.finish()


def _trailer(source: Source, layer: str) -> Iterator[Event]:
    while not source.at_end():
        size = source.size - source.offset if source.size is not None else None
        length = len(source.peek(CHUNK)) if size is None else size
        event = Event(source, layer, TRAILER, "trailer", memoryview(b""), length=length)
        yield event
        event.finish()
