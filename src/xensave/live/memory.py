"""A running guest with its memory, as a stream in an unnamed file: paused while it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np

from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc import TYPE_SHIFT
from xensave.container.streams.libxc_records import DATALESS_TYPES, PageData
from xensave.errors import LimitExceeded, SourceError
from xensave.live.domain import MOST_TYPES, AbsentDomain, RunningDomain
from xensave.live.domain import TYPE_SHIFT as ANSWER_SHIFT
from xensave.live.foreign import ForeignMemory, Frames
from xensave.live.libraries import XenCall
from xensave.live.opening import domain_number, named
from xensave.live.p2m import FRAMES_LIMIT
from xensave.live.pausing import paused
from xensave.live.pv import RunningPvGuest
from xensave.live.snapshot import stream_front, stream_of, tsc_record
from xensave.source.base import write_all
from xensave.source.memory import MappedSource
from xensave.source.spill import unnamed_file

_NOTAB, _XTAB = 0x0, 0xF
_DATALESS = np.isin(np.arange(_XTAB + 1), sorted(DATALESS_TYPES))


def open_domain_memory(what: str) -> MappedSource:
    """Pauses a guest, reads its state and its memory, resumes it, and returns both as a source.

    The file has no name, and goes with the source. Raises SourceError where there is no such
    guest, no library, no dom0 or no right; Malformed for a PV guest whose P2M leads nowhere.
    """
    with (
        named(what),
        closing(XenCall()) as library,
        closing(ForeignMemory()) as foreign,
        unnamed_file() as file,
    ):
        domain = RunningDomain(library, domain_number(what))
        take = _take_hvm if domain.is_hvm else _take_pv
        take(file.fileno(), domain, foreign)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return MappedSource(os.dup(file.fileno()), 0, what, owned=True)


def _take_hvm(fd: int, domain: RunningDomain, foreign: ForeignMemory) -> None:
    own = _pages_of_xen(domain, foreign)
    with paused(domain.number), _alive(domain):
        stream = stream_of(domain)
        end = len(pack_record(libxc.END))
        write_all(fd, memoryview(stream)[:-end])
        _write_memory(fd, domain, foreign, own)
        write_all(fd, memoryview(stream)[-end:])


def _take_pv(fd: int, domain: RunningDomain, foreign: ForeignMemory) -> None:
    with paused(domain.number), _alive(domain):
        guest = RunningPvGuest(domain, foreign)
        write_all(fd, memoryview(stream_front(domain, libxc.PV) + guest.front()))
        for at in range(0, len(guest.pfns), MOST_TYPES):
            some = slice(at, at + MOST_TYPES)
            frames, types = guest.frames[some], guest.types[some].copy()
            pages = _pages_of_types(domain, foreign, frames, types)
            size = libxc.PAGE_SIZE
            kinds = types[~_DATALESS[types]].tolist()
            whole = b"".join(
                guest.table(pages[place * size : (place + 1) * size], kind)
                for place, kind in enumerate(kinds)
            )
            _write_pages(fd, guest.pfns[some], types, whole)
        end = pack_record(libxc.END)
        write_all(fd, memoryview(tsc_record(domain) + guest.back() + end))


@contextmanager
def _alive(domain: RunningDomain) -> Iterator[None]:
    """Raises AbsentDomain, behind what is done, for a domain that was destroyed meanwhile.

    Of one that dies Xen tells ever fewer frames, and no error.
    """
    wrong: SourceError | None = None
    try:
        yield
    except SourceError as error:
        wrong = error
    if domain.dies():
        gone = f"domain {domain.number} was destroyed while its memory was read"
        raise AbsentDomain(gone) from wrong
    if wrong is not None:
        raise wrong


def _pages_of_xen(domain: RunningDomain, foreign: ForeignMemory) -> Frames:
    """Returns where a guest has pages mapped that Xen does not count as its own.

    Those are its shared info page and its grant table. Xen tells no type of them, as of frames
    without a page: which is which says only the attempt to map them. It is made before the guest
    is paused, since a small one has a million frames that are none.
    """
    own = [np.empty(0, np.uint64)]
    for frames, types in _types(domain):
        empty = frames[types == _XTAB]
        if empty.size:
            own.append(empty[foreign.has(domain.number, empty)])
    return np.concatenate(own)


def _write_memory(fd: int, domain: RunningDomain, foreign: ForeignMemory, own: Frames) -> None:
    """Writes PAGE_DATA records of all frames up to the highest, those without pages as XTAB.

    All are asked for, as a save does: a PVH guest has memory in the VGA hole, and its ACPI tables
    and special pages lie below 4 GiB. Only those with a page are mapped.
    """
    for frames, types in _types(domain):
        types[_DATALESS[types] & np.isin(frames, own)] = _NOTAB
        _write_pages(fd, frames, types, _pages_of_types(domain, foreign, frames, types))


def _pages_of_types(
    domain: RunningDomain, foreign: ForeignMemory, frames: Frames, types: Frames
) -> bytes:
    """Returns the pages of frames whose type has one; the others' types become XTAB."""
    wanted = np.flatnonzero(~_DATALESS[types])
    if not wanted.size:
        return b""
    pages, there = foreign.pages(domain.number, frames[wanted])
    types[wanted[~there]] = _XTAB
    return pages


def _write_pages(fd: int, pfns: Frames, types: Frames, pages: bytes) -> None:
    """Writes a PAGE_DATA record."""
    words = pfns | types << np.uint64(TYPE_SHIFT)
    front = PageData(tuple(words.tolist())).to_bytes()
    head = HEADER.pack(libxc.PAGE_DATA, len(front) + len(pages))
    write_all(fd, memoryview(head + front + pages))


def _types(domain: RunningDomain) -> Iterator[tuple[Frames, Frames]]:
    """Yields frames and the types of their pages, up to the highest.

    Where Xen does not tell types, all frames count as if they had a page.
    """
    end = domain.max_frame() + 1
    if end > FRAMES_LIMIT:
        raise LimitExceeded(
            f"domain {domain.number}: its highest frame is {end - 1:#x}, "
            f"the limit is {FRAMES_LIMIT:#x}"
        )
    for first in range(0, end, MOST_TYPES):
        frames = np.arange(first, min(first + MOST_TYPES, end), dtype=np.uint64)
        words = domain.page_types(frames.tobytes())
        if words is None:
            yield frames, np.full(len(frames), _NOTAB, np.uint64)
        else:
            yield frames, np.frombuffer(words, np.uint64) >> np.uint64(ANSWER_SHIFT)
