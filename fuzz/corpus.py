"""The seeds: small valid input of every container, record and compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from functools import cache
from pathlib import Path

import lz4.frame
import zstandard

from xensave import catalogue
from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import PageData, TscInfo
from xensave.testing import frames, legacy, streams
from xensave.testing.pv import pv_stream
from xensave.testing.vhd import vhd

XTAB = 0xF << 60
RELEASES = ("3.1", "4.0", "4.6", "4.13", "4.17", "4.21")
EXAMPLES = Path(__file__).parents[1] / "examples"
TESTS = Path(__file__).parents[1] / "tests" / "data"
DATALESS = pack_record(libxc.PAGE_DATA, PageData((XTAB, XTAB | 1)).to_bytes())


@cache
def seeds() -> dict[str, bytes]:
    """Return every seed by its name."""
    found = _contexts() | _streams() | _frames() | _memory()
    image = found["xl"]
    return found | {
        "xl.zst": zstandard.compress(image),
        "xl.gz": gzip.compress(image, mtime=0),
        "xl.bz2": bz2.compress(image),
        "xl.xz": lzma.compress(image),
        "xl.lz4": lz4.frame.compress(image),
    }


def _contexts() -> dict[str, bytes]:
    """Return contexts of one record each, in every layout, and whole ones."""
    found = {}
    for name in catalogue.record_names():
        for layout in catalogue.layouts_of(name):
            if name not in ("HEADER", "END"):
                body = bytes(layout.size + (64 if layout.flexible else 0))
                found[f"{layout.id}.ctx"] = small_context(_code_of(name), body)
    found |= {f"all-{r}.ctx": streams.context(r) for r in RELEASES}
    found["amazon.ctx"] = small_context(22, bytes(16))
    for name in ("hvm1.ctx", "pvh1.ctx"):
        found[name] = (EXAMPLES / name).read_bytes()
    return found


def _code_of(name: str) -> int:
    bindings = (catalogue.release(r).binding(name) for r in catalogue.release_names())
    return next(binding.typecode for binding in bindings if binding is not None)


def small_context(code: int, body: bytes) -> bytes:
    """Return a context of HEADER, one record and END."""
    header = next(hvm.iterate(streams.context("4.17")))
    entries = [header, hvm.Entry(code, 0, body), hvm.Entry(hvm.END_TYPECODE, 0, b"")]
    return hvm.pack_entries(entries)


def _tail() -> bytes:
    """Return the records after memory, with a context of one record."""
    context = small_context(11, bytes(24))
    whole = streams.hvm_tail("4.17")
    return whole.replace(
        pack_record(libxc.HVM_CONTEXT, streams.restorable_context("4.17")),
        pack_record(libxc.HVM_CONTEXT, context),
    )


def _frames() -> dict[str, bytes]:
    """Return what other toolstacks wrote, and the legacy streams of old."""
    context = small_context(11, bytes(24))
    tail, bare = legacy.hvm_tail(context), legacy.hvm_tail(context, b"")
    inside = streams.libxc_stream(DATALESS + _tail(), "4.17")
    suspended = frames.suspend_image(inside)
    old = streams.xl_image(legacy.hvm_stream(tail=tail))
    before = {pfn: legacy.page(pfn) for pfn in range(2)}
    now = {0: legacy.page(9), 1: before[1]}
    return {
        "legacy-hvm": legacy.hvm_stream(tail=tail),
        "legacy-hvm-32": legacy.hvm_stream(4, body=legacy.pages(range(2), 4), tail=tail),
        "legacy-pv": legacy.pv_stream(),
        "legacy-remus": legacy.hvm_stream(
            body=legacy.TSC + legacy.pages(range(2)) + legacy.ENABLE_COMPRESSION,
            extra=legacy.compressed(now, before),
            tail=tail,
        ),
        "xl-legacy": old.replace(b"\3\0\0\0", b"\1\0\0\0", 1),
        "libvirt": frames.libvirt_file(streams.libxl_stream(inside)),
        "xenopsd": suspended,
        "xenopsd-legacy": frames.legacy_suspend_image(legacy.hvm_stream(4, tail=bare)),
        "xend": frames.xend_file(legacy.hvm_stream(4, tail=tail)),
        "vhd": vhd(suspended.ljust(1 << 15, b"\0"), block=4096),
    }


def _streams() -> dict[str, bytes]:
    tail = DATALESS + _tail()
    strange = pack_record(OPTIONAL | 0x77, b"kept") + pack_record(libxc.VERIFY)
    two = streams.libxc_stream(tail, "4.13")
    three = streams.libxc_stream(strange + tail, "4.17")
    keys = (("physmap/0/name", "vga.vram"), ("physmap/0/addr", "f0000000"))
    policies = streams.stream_head("4.17", libxc.HVM) + streams.policies()
    policies += streams.static_data("4.17") + tail + pack_record(libxc.END)
    dirty = pack_record(libxc.CHECKPOINT_DIRTY_PFN_LIST, struct.pack("<2Q", 1, 2))
    state = pack_record(libxl.CHECKPOINT_STATE, (1).to_bytes(4, "little"))
    colo = tail + dirty + pack_record(libxc.CHECKPOINT) + pack_record(libxl.CHECKPOINT_END) + state
    tsc = pack_record(libxc.X86_TSC_INFO, TscInfo(0, 1, 2, 3).to_bytes())
    return {
        "libxc2": two,
        "libxc3": three,
        "page": streams.libxc_stream(streams.memory(1) + tsc),
        "policies": policies,
        "libxl": streams.libxl_stream(three, streams.emulator(keys)),
        "xl": streams.xl_image(streams.libxl_stream(three, streams.emulator(keys))),
        "xl-plain": streams.xl_image(streams.libxl_stream(two), b""),
        "pv": streams.xl_image(streams.libxl_stream(pv_stream("4.17", DATALESS))),
        "pv2": pv_stream("4.13"),
        "colo": streams.libxl_stream(streams.libxc_stream(colo)),
    }


def _memory() -> dict[str, bytes]:
    """Return guests whose memory and device model hold what programs look for."""
    kernel = zstandard.ZstdDecompressor().decompress(
        (TESTS / "memory" / "kaslr.img.zst").read_bytes(), 1 << 20
    )
    model = zstandard.ZstdDecompressor().decompress(
        (TESTS / "qemu" / "pc-7.2.mig.zst").read_bytes(), 1 << 20
    )
    qemu = pack_record(libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, 0).to_bytes() + model)
    stream = streams.libxc_stream(DATALESS + _tail())
    pages = streams.libxc_stream(streams.page_data(range(3)) * 2 + _tail())
    return {
        "kernel": kernel,
        "qemu": streams.xl_image(streams.libxl_stream(stream, qemu)),
        "pages": pages,
        "vhd-pages": vhd(pages.ljust(1 << 16, b"\0"), block=4096),
        "runs": streams.libxc_stream(DATALESS * 12 + streams.page_data([5]) * 5 + _tail()),
    }
