"""A running guest with its memory, as a stream in an unnamed file: paused while it is read."""

from __future__ import annotations

import os
import tempfile

from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import TYPE_SHIFT, PageData
from xensave.errors import SourceError, XensaveError
from xensave.live.domain import Domain
from xensave.live.foreign import ForeignMemory, opened_foreign_memory
from xensave.live.libraries import opened_xencall
from xensave.live.opening import domain_number
from xensave.live.pausing import paused
from xensave.live.snapshot import stream_of
from xensave.source.base import write_all
from xensave.source.memory import MappedSource

_BATCH = 1024
_XTAB = 0xF


def open_domain_memory(what: str) -> MappedSource:
    """Pause a guest, read its state and its memory, resume it, and return both as a source.

    The file has no name, and goes with the source. Raises SourceError where there is no such
    guest, no library, no dom0 or no right; Unsupported for a PV guest.
    """
    try:
        number = domain_number(what)
        with (
            opened_xencall() as library,
            opened_foreign_memory() as foreign,
            tempfile.TemporaryFile(buffering=0) as file,
        ):
            domain = Domain(library, number)
            with paused(number):
                stream = stream_of(domain)
                end = len(pack_record(libxc.END))
                write_all(file.fileno(), memoryview(stream)[:-end])
                _write_memory(file.fileno(), domain, foreign)
                write_all(file.fileno(), memoryview(stream)[-end:])
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            return MappedSource(os.dup(file.fileno()), 0, what, owned=True)
    except XensaveError as error:
        error.source = what
        raise
    except OSError as error:
        raise SourceError(f"{what}: {error.strerror}") from error


def _write_memory(fd: int, domain: Domain, foreign: ForeignMemory) -> None:
    """Write PAGE_DATA records of all frames up to the highest, those without pages as XTAB.

    All are asked for, as a save does: a PVH guest has memory in the VGA hole, and its ACPI tables
    and special pages lie below 4 GiB.
    """
    end = domain.max_frame() + 1
    for first in range(0, end, _BATCH):
        batch = list(range(first, min(first + _BATCH, end)))
        pages = foreign.pages(domain.number, batch)
        words = tuple(
            frame if page is not None else frame | _XTAB << TYPE_SHIFT
            for frame, page in zip(batch, pages, strict=True)
        )
        body = b"".join([PageData(words).to_bytes(), *(page for page in pages if page is not None)])
        write_all(fd, memoryview(HEADER.pack(libxc.PAGE_DATA, len(body)) + body))
