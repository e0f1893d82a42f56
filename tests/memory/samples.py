"""Streams of chosen pages, and the images of the shared folder."""

import functools
import lzma
from pathlib import Path

import pytest
import zstandard

from xensave import open as open_image
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import DATALESS_TYPES, PageData
from xensave.image import Image
from xensave.source import open_source
from xensave.source.spill import seekable
from xensave.testing import streams

PAGE = libxc.PAGE_SIZE
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
PAIR = "memory/xen417-pvh1.img.zst"
LIVE = "memory/xen417-pvh1-live.stream.xz"
PV = "images/xen417-pv1.img.zst"
KEPT = Path(__file__).parents[1] / "data" / "memory"
HVM = Path(__file__).parents[2] / "examples" / "hvm1.img.zst"


def page(byte):
    return bytes([byte]) * PAGE


def record(*entries):
    """A PAGE_DATA record of (pfn, contents) or (pfn, page type, contents)."""
    entries = [(pfn, 0, *rest) if len(rest) == 1 else (pfn, *rest) for pfn, *rest in entries]
    words = tuple(pfn | type_ << 60 for pfn, type_, _ in entries)
    pages = [data for _, type_, data in entries if type_ not in DATALESS_TYPES]
    return pack_record(libxc.PAGE_DATA, PageData(words).to_bytes() + b"".join(pages))


def image(*records, release="4.17"):
    """An HVM guest's image with these memory records."""
    body = b"".join(records) + streams.hvm_tail(release)
    return open_image(streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, release))))


def memory(*records):
    return image(*records).memory


@functools.cache
def shared_bytes(name):
    """The decompressed bytes of a file of the shared folder; the test skips without it."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    with seekable(open_source(path)) as source:
        return bytes(source.view(0, source.size))


def shared_image(name) -> Image:
    return open_image(shared_bytes(name))


@functools.cache
def pair_bytes(name):
    """The decompressed bytes of a file of tests/data/memory, or else of the shared folder."""
    return (
        zstandard.decompress(path.read_bytes())
        if (path := KEPT / name).exists()
        else shared_bytes(name)
    )


def pair_image(name) -> Image:
    return open_image(pair_bytes(name))


@functools.cache
def vmlinux():
    """The kernel of the shared images' Linux guests, with symbols."""
    path = SHARED / "memory/rig-kernel.vmlinux.xz"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return lzma.decompress(path.read_bytes())


@functools.cache
def symbol(name):
    """The address of a symbol of that kernel."""
    import io

    from elftools.elf.elffile import ELFFile

    return (
        ELFFile(io.BytesIO(vmlinux()))
        .get_section_by_name(".symtab")
        .get_symbol_by_name(name)[0]["st_value"]
    )
