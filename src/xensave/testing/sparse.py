"""Images of any size that take next to no disk: the pages are holes in the file."""

from __future__ import annotations

import os
from typing import BinaryIO

from xensave.container.framing import HEADER
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PageData
from xensave.testing import streams

_MARKER = b"<the records>"


def write_sparse_image(
    path: str | os.PathLike[str], size: int, release: str = "4.17", vcpus: int = 1
) -> int:
    """Writes an HVM guest's image of about `size` bytes, whole PAGE_DATA records; returns its size.

    >>> import tempfile, os
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = write_sparse_image(file.name, 64 << 20)
    ...     size >= 64 << 20, os.stat(file.name).st_blocks * 512 < 1 << 20
    (True, True)
    """
    frame = streams.xl_image(streams.libxl_stream(streams.libxc_stream(_MARKER, release)))
    head, _, foot = frame.partition(_MARKER)
    with open(path, "wb") as file:
        file.write(head)
        _write_pages(file, -(-size // libxc.PAGE_SIZE))
        file.write(streams.hvm_tail(release, vcpus) + foot)
        return file.tell()


def _write_pages(file: BinaryIO, pages: int) -> None:
    for start in range(0, pages, streams.PAGES_PER_RECORD):
        count = min(streams.PAGES_PER_RECORD, pages - start)
        front = PageData(tuple(range(start, start + count))).to_bytes()
        file.write(HEADER.pack(libxc.PAGE_DATA, len(front) + count * libxc.PAGE_SIZE) + front)
        file.seek(count * libxc.PAGE_SIZE, os.SEEK_CUR)
