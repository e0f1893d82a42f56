"""A glance at an image: its first and its last bytes, and the proof that they belong together.

All of an image that is not pages stands before the first PAGE_DATA record or behind the last
one. A walk passes from one page record to the next, up to a mebibyte of memory each; a glance
goes from the first of them straight to the records behind the pages, found from the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from xensave.container.events import LIBXC, LIBXL, Event, LayerName
from xensave.container.framing import HEADER, HEADER_SIZE, padding_size
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc import DomainHeader
from xensave.container.walk import walk
from xensave.source import Source

TAILS = (256 << 10, 4 << 20)
"""How many bytes before the end are looked at, one after the other; then the image is walked."""

_TSC_INFO_LENGTH = 24
_TSC_INFO = HEADER.pack(libxc.X86_TSC_INFO, _TSC_INFO_LENGTH)
_MAGIC = hvm.HEADER_MAGIC.to_bytes(4, "little")
_BEHIND_PAGES = frozenset(libxc.RECORDS) - {
    libxc.PAGE_DATA,
    libxc.CHECKPOINT,
    libxc.VERIFY,
    libxc.STATIC_DATA_END,
}
_BEHIND_LIBXC = frozenset(libxl.RECORDS) - {libxl.LIBXC_CONTEXT, libxl.CHECKPOINT_END}


class ReadingMode(StrEnum):
    """How an image was read: every record of it, or its first and last bytes."""

    WALK = "walk"
    GLANCE = "glance"


def glance(source: Source) -> Iterator[Event]:
    """Yields an image's events, of page records the first only where the end is proved.

    Where it is not (a pipe, compressed input, a checkpointed stream, bytes after the stream, no
    pages), this is a walk; for a PV guest too, whose registers name pages by their types. Raises
    what `xensave.container.walk` raises.
    """
    layers: set[LayerName] = set()
    looked = not source.seekable
    for event in walk(source):
        layers.add(event.layer)
        yield event
        if isinstance(event.header, DomainHeader) and event.header.type == libxc.PV:
            looked = True
        if not looked and event.is_record(LIBXC, libxc.PAGE_DATA):
            looked = True
            tail = find_tail(source, event.end, nested=LIBXL in layers)
            if tail is not None:
                source.skip(tail - source.offset)


def find_tail(source: Source, start: int, *, nested: bool) -> int | None:
    """Returns where the records behind the last page begin; None where that cannot be proved.

    The records that a saver writes first behind the pages are X86_TSC_INFO and then the HVM
    context: its header's magic is looked for. The proof is the chain from there: records that may
    stand behind pages, up to an END that meets the input's last byte. Two such places prove
    nothing. `nested` says that libxl's records follow libxc's END.
    """
    size = source.size
    if size is None:
        return None
    reach = start
    for length in TAILS:
        if size - length <= start and reach > start:
            return None
        reach = max(start, size - length)
        tail = bytes(source.view(reach, size - reach))
        places = [at for at in _anchors(tail) if _meets_end(tail, at, nested=nested)]
        if places:
            return reach + places[0] if len(places) == 1 else None
    return None


def _anchors(tail: bytes) -> Iterator[int]:
    """Yields where X86_TSC_INFO is followed by an HVM context, told by its header's magic."""
    magic = tail.find(_MAGIC)
    while magic >= 0:
        context = magic - hvm.DESCRIPTOR.size - HEADER_SIZE
        at = context - HEADER_SIZE - _TSC_INFO_LENGTH
        if at >= 0 and tail.startswith(_TSC_INFO, at) and _is_context(tail, context):
            yield at
        magic = tail.find(_MAGIC, magic + 1)


def _is_context(tail: bytes, at: int) -> bool:
    type_, _ = HEADER.unpack_from(tail, at)
    typecode, instance, _ = hvm.DESCRIPTOR.unpack_from(tail, at + HEADER_SIZE)
    return (type_, typecode, instance) == (libxc.HVM_CONTEXT, hvm.HEADER_TYPECODE, 0)


def _meets_end(tail: bytes, at: int, *, nested: bool) -> bool:
    """Tells whether a chain of records that may follow pages leads to the last byte."""
    known, end = _BEHIND_PAGES, libxc.END
    while at + HEADER_SIZE <= len(tail):
        type_, length = HEADER.unpack_from(tail, at)
        at += HEADER_SIZE + length + padding_size(length)
        if type_ not in known:
            return False
        if type_ != end:
            continue
        if not nested:
            return at == len(tail)
        known, end, nested = _BEHIND_LIBXC, libxl.END, False
    return False
