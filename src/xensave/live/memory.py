"""A running guest with its memory, as a stream in an unnamed file: paused while it is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing

from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import DATALESS_TYPES, TYPE_SHIFT, PageData
from xensave.errors import LimitExceeded, SourceError, XensaveError
from xensave.live.domain import MOST_TYPES, Domain
from xensave.live.foreign import ForeignMemory
from xensave.live.libraries import XenCall
from xensave.live.opening import domain_number
from xensave.live.pausing import paused
from xensave.live.snapshot import stream_of
from xensave.source.base import write_all
from xensave.source.memory import MappedSource

FRAMES_LIMIT = 1 << 28
"""Frames that are asked for in a guest's pause: 1 TiB, a quarter of a million hypercalls."""

_NOTAB, _XTAB = 0x0, 0xF


def open_domain_memory(what: str) -> MappedSource:
    """Pauses a guest, reads its state and its memory, resumes it, and returns both as a source.

    The file has no name, and goes with the source. Raises SourceError where there is no such
    guest, no library, no dom0 or no right; Unsupported for a PV guest.
    """
    try:
        number = domain_number(what)
        with (
            closing(XenCall()) as library,
            closing(ForeignMemory()) as foreign,
            tempfile.TemporaryFile(buffering=0) as file,
        ):
            domain = Domain(library, number)
            domain.refuse_pv()
            own = _pages_of_xen(domain, foreign)
            with paused(number):
                stream = stream_of(domain)
                end = len(pack_record(libxc.END))
                write_all(file.fileno(), memoryview(stream)[:-end])
                _write_memory(file.fileno(), domain, foreign, own)
                write_all(file.fileno(), memoryview(stream)[-end:])
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            return MappedSource(os.dup(file.fileno()), 0, what, owned=True)
    except XensaveError as error:
        error.source = what
        raise
    except OSError as error:
        raise SourceError(f"{what}: {error.strerror}") from error


def _pages_of_xen(domain: Domain, foreign: ForeignMemory) -> frozenset[int]:
    """Returns where a guest has pages mapped that Xen does not count as its own.

    Those are its shared info page and its grant table. Xen tells no type of them, as of frames
    without a page: which is which says only the attempt to map them. It is made before the guest
    is paused, since a small one has a million frames that are none.
    """
    own: list[int] = []
    for first, types in _types(domain):
        empty = [first + at for at, type_ in enumerate(types) if type_ == _XTAB]
        if empty:
            there = foreign.has(domain.number, empty)
            own += [frame for frame, is_there in zip(empty, there, strict=True) if is_there]
    return frozenset(own)


def _write_memory(fd: int, domain: Domain, foreign: ForeignMemory, own: frozenset[int]) -> None:
    """Writes PAGE_DATA records of all frames up to the highest, those without pages as XTAB.

    All are asked for, as a save does: a PVH guest has memory in the VGA hole, and its ACPI tables
    and special pages lie below 4 GiB. Only those with a page are mapped.
    """
    for first, types in _types(domain):
        frames = range(first, first + len(types))
        kinds = [
            _NOTAB if type_ in DATALESS_TYPES and frame in own else type_
            for frame, type_ in zip(frames, types, strict=True)
        ]
        wanted = [
            frame for frame, kind in zip(frames, kinds, strict=True) if kind not in DATALESS_TYPES
        ]
        pages = foreign.pages(domain.number, wanted) if wanted else []
        gone = {frame for frame, page in zip(wanted, pages, strict=True) if page is None}
        words = tuple(
            frame | (_XTAB if frame in gone else kind) << TYPE_SHIFT
            for frame, kind in zip(frames, kinds, strict=True)
        )
        body = b"".join([PageData(words).to_bytes(), *(page for page in pages if page is not None)])
        write_all(fd, memoryview(HEADER.pack(libxc.PAGE_DATA, len(body)) + body))


def _types(domain: Domain) -> Iterator[tuple[int, list[int]]]:
    """Yields frames and the types of their pages from there on, up to the highest.

    Where Xen does not tell types, all frames count as if they had a page.
    """
    end = domain.max_frame() + 1
    if end > FRAMES_LIMIT:
        raise LimitExceeded(
            f"domain {domain.number}: its highest frame is {end - 1:#x}, "
            f"the limit is {FRAMES_LIMIT:#x}"
        )
    for first in range(0, end, MOST_TYPES):
        count = min(MOST_TYPES, end - first)
        types = domain.page_types(first, count)
        yield first, types if types is not None else [_NOTAB] * count
