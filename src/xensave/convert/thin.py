"""A live migration's stream without what is sent again: each frame's last contents only.

What a restore makes of it is the same: the last contents of a frame win. An entry without contents
stays where it is the last word on its frame. Pages that follow VERIFY, which are compared and not
taken, go with that record; so do pages after the last complete checkpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xensave.container.events import LIBXC, Event
from xensave.container.framing import HEADER, padding_size
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PFN_MASK
from xensave.container.streams.libxc_records import PAIR
from xensave.convert.output import Writer
from xensave.errors import Unsupported
from xensave.image import Image
from xensave.memory.batches import ENTRY_SIZE, entries, page_data
from xensave.memory.column import Column, Integers
from xensave.memory.index import PageIndex
from xensave.source.output import writing

_Mask = npt.NDArray[np.bool_]


class Thinned(NamedTuple):
    """What was written: how many page contents the image had, and how many are left."""

    before: int
    after: int


def thin(image: Image, out: str) -> Thinned:
    """Writes an image to a path ("-" for standard output) with each frame's last contents only.

    Raises Unsupported for a legacy stream, which has no records to leave out: convert it first.

    >>> import tempfile
    >>> from xensave import open as open_image
    >>> with open_image("examples/hvm1.img.zst") as image, tempfile.TemporaryDirectory() as folder:
    ...     thin(image, f"{folder}/thin.img")
    Thinned(before=4092, after=4092)
    """
    memory = image.memory
    last = _LastEmpty(image, memory.index)
    with writing(out) as output:
        writer = Writer(memory.source, output.fd, fresh=output.fresh)
        before = after = 0
        comparing = False
        for event in image.events():
            comparing = comparing or event.is_record(LIBXC, libxc.VERIFY)
            if event.is_record(LIBXC, libxc.PAGE_DATA):
                front = page_data(event)
                before += len(front.pfns)
                last_ones = _last_contents(front.pfns, front.offsets, memory.index)
                if comparing:
                    last_ones[:] = False
                after += int(last_ones.sum())
                _write(writer, event, last_ones, last)
            elif not event.is_record(LIBXC, libxc.VERIFY):
                writer.keep(event)
        writer.close()
    return Thinned(before, after)


def _last_contents(pfns: Integers, offsets: Integers, index: PageIndex) -> _Mask:
    """Tells which pages of a record are the last contents of their frames."""
    mask: _Mask = index.offsets_of(pfns) == offsets
    return mask


class _LastEmpty:
    """Which entries without contents are the last word on their frames."""

    def __init__(self, image: Image, index: PageIndex) -> None:
        pfns, places = Column(), Column()
        for event in image.events():
            if event.made:
                raise Unsupported(
                    "a legacy stream has no records to leave out; convert it first"
                ).about(image.name)
            if event.is_record(LIBXC, libxc.VERIFY):
                break
            if event.is_record(LIBXC, libxc.PAGE_DATA):
                numbers, at = _empty_entries(event)
                pfns.extend(numbers)
                places.extend(at)
        self._places = _last_places(pfns.release(), places.release(), index)

    def among(self, places: Integers) -> _Mask:
        """Tells which places are of such entries."""
        # isin() would sort or spread out all places for each record.
        if not len(self._places):
            return np.zeros(len(places), np.bool_)
        at = np.minimum(np.searchsorted(self._places, places), len(self._places) - 1)
        mask: _Mask = self._places[at] == places
        return mask


def _last_places(pfns: Integers, places: Integers, index: PageIndex) -> Integers:
    order = np.argsort(pfns, kind="stable")
    pfns, places = pfns[order], places[order]
    last = np.concatenate((pfns[1:] != pfns[:-1], [True])) if len(pfns) else pfns.astype(np.bool_)
    pfns, places = pfns[last], places[last]
    older = index.offsets_of(pfns) > places
    return np.sort(places[~older])


def _empty_entries(event: Event) -> tuple[Integers, Integers]:
    """Returns the frames that a record lists without contents, and where each entry lies."""
    words, contents = entries(event)
    numbers = np.flatnonzero(~contents)
    pfns = (words[numbers] & np.uint64(PFN_MASK)).astype(np.int64)
    return pfns, event.body_offset + PAIR.size + ENTRY_SIZE * numbers


def _write(writer: Writer, event: Event, mask: _Mask, last: _LastEmpty) -> None:
    """Writes what is left of a record; all of it where nothing goes, nothing where all does."""
    words, contents = entries(event)
    stays = np.zeros(len(words), np.bool_)
    stays[contents] = mask
    empty = np.flatnonzero(~contents)
    stays[empty] = last.among(event.body_offset + PAIR.size + ENTRY_SIZE * empty)
    if stays.all():
        writer.keep(event)
        return
    if not stays.any():
        return
    pages = np.flatnonzero(mask)
    front = PAIR.pack(int(stays.sum()), 0) + words[stays].tobytes()
    length = len(front) + len(pages) * libxc.PAGE_SIZE
    writer.write(HEADER.pack(event.type, length) + front)
    start = event.body_offset + PAIR.size + ENTRY_SIZE * len(words)
    for run in np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1):
        if len(run):
            writer.copy(start + int(run[0]) * libxc.PAGE_SIZE, len(run) * libxc.PAGE_SIZE)
    writer.write(bytes(padding_size(length)))
