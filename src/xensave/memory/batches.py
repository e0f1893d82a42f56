"""From the events of a walk to batches of frames: the numbers, types and places of their pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xensave.container.events import HEADER_KIND, LIBXC, LIBXL, Event
from xensave.container.framing import HEADER_SIZE
from xensave.container.runs import PageRun
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import DATALESS_TYPES, PAGE_TYPES, PAIR
from xensave.errors import LimitExceeded, Malformed, Truncated
from xensave.memory.appendix import Appendix
from xensave.memory.column import Integers
from xensave.source.limits import READ_LIMIT

Words = npt.NDArray[np.uint64]

ENTRY_SIZE = 8
_TYPE = np.uint64(TYPE_SHIFT)
_PFN = np.uint64(PFN_MASK)
_RESERVED = np.uint64(0xFF << 52)
KNOWN = np.array([number in PAGE_TYPES for number in range(16)])
WITH_CONTENTS = np.array([n in PAGE_TYPES and n not in DATALESS_TYPES for n in range(16)])
"""By the number of a page type: whether there is such a type, and whether a page follows it."""


class Batch(NamedTuple):
    """What one record says of frames.

    `pfns` and `types` are of the frames with contents, whose pages lie one behind another from
    `start` on; `types` is None where all are NOTAB. `empty` holds the entries of frames without:
    the PFN, and the type in bits 60 - 63.
    """

    pfns: Integers
    start: int
    types: Integers | None
    empty: Words

    @property
    def offsets(self) -> Integers:
        """Where each page begins."""
        return self.start + np.arange(len(self.pfns)) * libxc.PAGE_SIZE


class BatchRows(NamedTuple):
    """What records say that lie one behind another and list as many frames, all with contents.

    `pfns`, and `types` where not all are NOTAB, have a row for each record. The pages of the first
    begin at `start`, those of the next `stride` further on.
    """

    pfns: Integers
    start: int
    stride: int = 0
    types: Integers | None = None


class Mark(Enum):
    """What changes how later batches count."""

    VERIFY = "pages that follow are compared"
    CHECKPOINT = "a checkpoint is complete"


def batches(
    events: Iterable[Event], appendix: Appendix | None = None
) -> Iterator[Batch | BatchRows | Mark]:
    """Yields the batches and marks of an image; of records that a walk gives in runs many at once.

    Those are overwritten by what comes next. Pages that a reader makes, and that lie in no input,
    go to the appendix.

    Raises Malformed for a PAGE_DATA record that libxc refuses, and what the walk raises. A
    checkpointed stream that is cut after a complete checkpoint ends there, as for a receiver that
    takes over.
    """
    inside = complete = False
    try:
        for event in events:
            if isinstance(event, PageRun):
                yield from _of_run(event)
            elif event.is_record(LIBXC, libxc.PAGE_DATA):
                yield _placed(event, appendix)
            elif event.is_record(LIBXC, libxc.VERIFY):
                yield Mark.VERIFY
            elif event.layer == LIBXL and event.kind == HEADER_KIND:
                inside = True
            # Within a libxl stream the device model's state belongs to a checkpoint.
            elif event.is_record(LIBXL, libxl.CHECKPOINT_END) or (
                not inside and event.is_record(LIBXC, libxc.CHECKPOINT)
            ):
                complete = True
                yield Mark.CHECKPOINT
    except Truncated:
        if not complete:
            raise


def _of_run(run: PageRun) -> Iterator[Batch | BatchRows]:
    words = run.pfns()
    front = PAIR.size + ENTRY_SIZE * run.count
    if words.max() > _PFN or run.length != front + libxc.PAGE_SIZE * run.count:
        yield from map(page_data, run.apart())
        return
    start = run.offset + HEADER_SIZE + front
    yield BatchRows(words.view(np.int64), start, run.stride)


def _placed(event: Event, appendix: Appendix | None) -> Batch:
    batch = page_data(event)
    size = libxc.PAGE_SIZE * len(batch.pfns)
    if appendix is None or not event.made or appendix.holds(event.body_offset + event.length):
        return batch
    return batch._replace(start=appendix.add(event.body()[event.length - size :]))


def entries(event: Event) -> tuple[Words, npt.NDArray[np.bool_]]:
    """Returns the entries of a PAGE_DATA record, and which of them have contents.

    Raises what `page_data` does.
    """
    words, contents = _entries(event)
    return words, contents if contents is not None else np.ones(len(words), np.bool_)


def _entries(event: Event) -> tuple[Words, npt.NDArray[np.bool_] | None]:
    """Returns the entries of a PAGE_DATA record, and None where all are plain pages.

    Raises Malformed where they do not fit, or have a type that there is not; LimitExceeded for a
    record longer than libxc takes.
    """
    if event.length > READ_LIMIT:
        raise LimitExceeded(
            f"a record of {event.length} bytes, the limit is {READ_LIMIT}",
            offset=event.offset,
            record=event.label,
        )
    if event.length < PAIR.size:
        raise _malformed(event, f"{event.length} bytes, at least {PAIR.size} expected")
    count, _ = PAIR.unpack(event.prefix(PAIR.size))
    front = PAIR.size + ENTRY_SIZE * count
    if front > event.length:
        raise _malformed(event, f"{count} PFNs need {front} bytes, the record has {event.length}")
    words: Words = np.frombuffer(event.prefix(front), "<u8", offset=PAIR.size)
    if not len(words) or words.max() <= _PFN:
        # Nearly all records hold plain pages only.
        return words, None
    types = (words >> _TYPE).astype(np.int64)
    if not KNOWN[types].all():
        number = int(types[~KNOWN[types]][0])
        raise _malformed(event, f"reserved page type {number:#x}")
    return words, WITH_CONTENTS[types]


def page_data(event: Event) -> Batch:
    """Reads the front of a PAGE_DATA record; its pages stay unread.

    Raises Malformed for a record that libxc refuses, LimitExceeded for a longer one than it takes.
    """
    words, contents = _entries(event)
    front = PAIR.size + ENTRY_SIZE * len(words)
    empty = words[:0]
    types: Integers | None = None
    if contents is not None:
        empty = words[~contents] & ~_RESERVED
        words = words[contents]
        types = (words >> _TYPE).astype(np.int64)
    pfns = (words & _PFN).view(np.int64)
    start = event.body_offset + front
    size = libxc.PAGE_SIZE * len(pfns)
    if event.body_offset + event.length != start + size:
        raise _malformed(
            event,
            f"{event.length} bytes, expected {front} and {libxc.PAGE_SIZE} "
            f"for each of {len(pfns)} pages",
        )
    return Batch(pfns, start, types, empty)


def _malformed(event: Event, message: str) -> Malformed:
    return Malformed(message, offset=event.offset, record=event.label)
