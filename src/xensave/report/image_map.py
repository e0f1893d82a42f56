"""Where each record of an image lies, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import CONTEXT, HEADER_KIND, LIBXC, RECORD, TRAILER, Event
from xensave.container.streams import libxc
from xensave.context import ContextRecord
from xensave.image import Image
from xensave.image.tally import Count
from xensave.report.charts import bar
from xensave.report.page import Bar, PageTable, filled, listed
from xensave.views.guest.summary import bytes_of, counted

_PAGES = "page contents and frame numbers"
_KINDS = {HEADER_KIND: "headers, configuration", TRAILER: "after the end", CONTEXT: "HVM context"}


def image_bars(image: Image) -> tuple[Bar, ...]:
    """Returns the image as a bar: its pieces in their order."""
    pieces = [
        (kind, f"{kind}: {size:,} bytes at {offset:#x}", size)
        for kind, offset, size in _pieces(image)
    ]
    drawn = bar(
        "The image from its first byte to its last; widths are logarithms of sizes",
        pieces,
        logarithmic=True,
    )
    return (drawn,) if drawn is not None else ()


def record_tables(image: Image) -> tuple[PageTable, ...]:
    """Returns the records of the streams and of the HVM context, with what they cost."""
    size = image.size or 1
    firsts = image.tally.firsts

    def stream_row(each: Count) -> tuple[str, ...]:
        return (
            f"{each.layer} {each.name}",
            f"{firsts.get((each.layer, each.type), 0):#x}",
            *counted(image, each),
            f"{100 * bytes_of(image, each) / size:.3g} %",
        )

    head = ("record", "first at", "count", "bytes", "share")
    own = ("record", "type", "at", "bytes", "layout")
    return filled(
        listed(
            PageTable("Records of the streams", head, (), (1, 2, 3, 4), (0, 1)),
            image.counts,
            stream_row,
        ),
        listed(
            PageTable("Records of the HVM context", own, (), (1, 2, 3), (0, 2, 4)),
            image.context if image.has_context else (),
            _context_row,
        ),
    )


def _context_row(record: ContextRecord) -> tuple[str, ...]:
    return (
        record.label,
        str(record.typecode),
        f"{record.offset:#x}",
        f"{record.length:,}",
        record.layout.id if record.layout is not None else "unknown",
    )


def _pieces(image: Image) -> Iterator[tuple[str, int, int]]:
    """Yields the image's pieces: neighbouring events of one kind are one."""
    kind, offset, end = "", 0, 0
    for event in image.glance() if image.unread else image.events():
        if kind == _PAGES:
            # A glance goes from the first page record to what stands behind the last.
            end = event.offset
        if _kind(event) != kind:
            if end > offset:
                yield kind, offset, end - offset
            kind, offset = _kind(event), event.offset
        end = event.end
    if end > offset:
        yield kind, offset, end - offset


def _kind(event: Event) -> str:
    if event.is_record(LIBXC, libxc.PAGE_DATA):
        return _PAGES
    if event.kind != RECORD:
        return _KINDS.get(event.kind, event.kind)
    return "HVM context" if event.is_record(LIBXC, libxc.HVM_CONTEXT) else f"{event.layer} records"
