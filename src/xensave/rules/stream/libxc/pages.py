"""Rules of PAGE_DATA. The pages themselves are never looked at, and PFNs only as whole arrays.

Of a PFN's eight bytes the last holds the page type and reserved bits 56 - 59, the one before it
reserved bits 52 - 55: slices of those bytes, and `bytes.translate`, check a thousand PFNs in a
few microseconds without a loop.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from xensave.container.events import LIBXC, Event
from xensave.container.runs import PageRun
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PFN_MASK
from xensave.container.streams.libxc_records import DATALESS_TYPES, PAGE_TYPES, PAIR
from xensave.findings import ERROR, WARNING
from xensave.rules.stream.model import Fault, StreamRule, refused_by
from xensave.rules.stream.record import first_word
from xensave.rules.stream.state import StreamState

COUNT_LIMIT = 1 << 20
"""More PFNs in one record are not looked into; writers batch 1,024."""

_HANDLE_PAGE_DATA = refused_by(LIBXC, "handle_page_data")
SHORT = StreamRule(
    "LIBXC_PAGE_DATA_HEADER_COMPLETE", ERROR, "PAGE_DATA begins with 8 bytes.", _HANDLE_PAGE_DATA
)
RESERVED = StreamRule("LIBXC_PAGE_DATA_RESERVED_ZERO", ERROR, "PAGE_DATA's reserved field is zero.")
COUNT = StreamRule(
    "LIBXC_PAGE_DATA_COUNT_POSITIVE", ERROR, "PAGE_DATA has at least one PFN.", _HANDLE_PAGE_DATA
)
FIT = StreamRule(
    "LIBXC_PAGE_DATA_PFNS_FIT", ERROR, "PAGE_DATA's PFNs lie within it.", _HANDLE_PAGE_DATA
)
BATCH = StreamRule(
    "LIBXC_PAGE_DATA_COUNT_BOUNDED", WARNING, "PAGE_DATA has no more than 1,048,576 PFNs."
)
PFN_RESERVED = StreamRule("LIBXC_PFN_RESERVED_ZERO", ERROR, "Bits 52 - 59 of a PFN are clear.")
TYPE = StreamRule(
    "LIBXC_PAGE_TYPE_KNOWN", ERROR, "A page type is none of 5 - 8.", _HANDLE_PAGE_DATA
)
LENGTH = StreamRule(
    "LIBXC_PAGE_DATA_LENGTH",
    ERROR,
    "A page follows for each PFN whose type has data.",
    _HANDLE_PAGE_DATA,
)
RANGE = StreamRule(
    "LIBXC_PFN_IN_P2M", ERROR, "A PV guest's PFNs lie within its P2M.", _HANDLE_PAGE_DATA
)
ORDER = StreamRule(
    "LIBXC_PAGE_DATA_AFTER_P2M_FRAMES",
    ERROR,
    "A PV guest's P2M frames come before PAGE_DATA.",
    _HANDLE_PAGE_DATA,
)

PAGE = libxc.PAGE_SIZE
CLEAR_LOW = bytes(type_ << 4 for type_ in range(16))
CLEAR_HIGH = bytes(range(16))


def _top_bytes(types: set[int]) -> bytes:
    return bytes(type_ << 4 | low for type_ in types for low in range(16))


KNOWN = _top_bytes(set(PAGE_TYPES))
DATALESS = _top_bytes(set(DATALESS_TYPES))


def page_data(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks a record's count, PFNs and length."""
    if state.guest == libxc.PV and not state.libxc(libxc.X86_PV_P2M_FRAMES, libxc.PAGE_DATA):
        yield Fault(ORDER, "no X86_PV_P2M_FRAMES came before it")
    count = yield from first_word(event, SHORT, RESERVED)
    if count is None:
        return
    if not count:
        yield Fault(COUNT, "a count of zero")
    front = PAIR.size + 8 * count
    if front > event.length:
        yield Fault(FIT, f"{count} PFNs need {front} bytes, the record has {event.length}")
    elif count > COUNT_LIMIT:
        yield Fault(BATCH, f"{count} PFNs are not looked into")
    else:
        pfns = bytes(event.prefix(front)[PAIR.size :])
        yield from _array(event, pfns)
        if state.guest == libxc.PV and state.max_pfn >= 0:
            yield from _range(event, pfns, state.max_pfn)


def alike(run: PageRun, state: StreamState) -> bool:
    """Tells whether the records of a run break no rule, if the record before them breaks none.

    They share that record's length and count: what remains is their PFNs.
    """
    if not run.count or run.count > COUNT_LIMIT:
        return False
    import numpy as np

    from xensave.memory import batches

    words = run.pfns()
    # Record by record, then the words of one: twice as fast as all words of a slice at once.
    types = int(np.bitwise_or.reduce(np.bitwise_or.reduce(words, axis=0))) >> 52
    if types:
        kinds = words >> np.uint64(60)
        if types & 0xFF or not batches.KNOWN[kinds].all():
            return False
        pages = batches.WITH_CONTENTS[kinds].sum(axis=1)
        if (PAIR.size + 8 * run.count + PAGE * pages != run.length).any():
            return False
    elif PAIR.size + (8 + PAGE) * run.count != run.length:
        return False
    if state.guest == libxc.PV and state.max_pfn >= 0:
        return int((words & np.uint64(PFN_MASK)).max()) <= state.max_pfn
    return True


def _array(event: Event, pfns: bytes) -> Iterator[Fault]:
    top, below = pfns[7::8], pfns[6::8]
    # Nearly all records hold plain pages only, and comparing is faster than translating.
    if event.length == PAIR.size + (8 + PAGE) * len(top) and top == below == bytes(len(top)):
        return
    if top.translate(None, CLEAR_LOW) or below.translate(None, CLEAR_HIGH):
        at = next(n for n in range(len(top)) if top[n] & 0xF or below[n] & 0xF0)
        yield _fault(PFN_RESERVED, "reserved bits set in", event, pfns, at)
    if top.translate(None, KNOWN):
        at = next(n for n in range(len(top)) if top[n] >> 4 not in PAGE_TYPES)
        yield _fault(TYPE, f"reserved page type {top[at] >> 4:#x} in", event, pfns, at)
    pages = len(top.translate(None, DATALESS))
    front = PAIR.size + len(pfns)
    if event.length != front + PAGE * pages:
        yield Fault(
            LENGTH,
            f"{event.length} bytes, expected {front} + {PAGE} for each of {pages} pages of data",
        )


def _range(event: Event, pfns: bytes, last: int) -> Iterator[Fault]:
    words = struct.unpack(f"<{len(pfns) // 8}Q", pfns)
    # Page types raise a word far above any PFN: only then is it worth masking them off.
    if max(words, default=0) <= last:
        return
    at = next((n for n, word in enumerate(words) if word & PFN_MASK > last), None)
    if at is not None:
        yield _fault(RANGE, f"outside the P2M, whose last PFN is {last:#x}:", event, pfns, at)


def _fault(rule: StreamRule, message: str, event: Event, pfns: bytes, at: int) -> Fault:
    word = int.from_bytes(pfns[8 * at : 8 * at + 8], "little")
    where = event.body_offset + PAIR.size + 8 * at
    return Fault(rule, f"{message} pfn[{at}]: {word:#018x}", where)
