"""Frames that Xen, the toolstack and the firmware use, by name.

Sources: xen/include/public/hvm/params.h; tools/firmware/hvmloader/config.h (RESERVED_MEMBASE);
tools/libs/light/libxl_x86_acpi.c and tools/libs/guest/xg_dom_x86.c (PVH); struct start_info in
xen/include/public/xen.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from xensave import catalogue
from xensave.container.description import Config
from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.errors import Malformed
from xensave.image.facts.emulator import emulators
from xensave.image.image import Image
from xensave.memory.physical import FrameRun, Memory

MMIO_START, MMIO_END = 0xF0000, 0x100000
"""HVM_BELOW_4G_MMIO_START (xen/include/public/hvm/e820.h) to 4 GiB, where nothing else is said."""

_VGA_HOLE = (0xA0, 0xC0)
# The state of a PCI device of QEMU's begins with a version and its configuration space
# (vmstate_pci_device in hw/pci/pci.c).
_PCI_VERSION = 2
_PCI_HEAD = struct.Struct(">I")
_PCI_SIZE = 64
_DISPLAY = struct.Struct("<9xBBB4x")
_VGA_CLASS = (0, 0, 3)
_BARS = struct.Struct("<16xII")
_BAR_IO, _BAR_WIDTH, _BAR_64 = 1 << 0, 3 << 1, 2 << 1
_BAR_FLAGS = 0xF
_RESERVED_START, _RESERVED_END = 0xFC000, 0xFEFF0
_KIB_SHIFT = 10


class SpecialPages(NamedTuple):
    """Frames with a use: `name`, the first frame, and how many."""

    name: str
    pfn: int
    frames: int = 1


class _Param(NamedTuple):
    """A param that names frames: what they are, and whether it is an address or a frame number."""

    what: str
    address: bool = False


_PARAMS = {
    "STORE_PFN": _Param("xenstore ring"),
    "CONSOLE_PFN": _Param("console ring"),
    "IOREQ_PFN": _Param("ioreq page"),
    "BUFIOREQ_PFN": _Param("buffered ioreq page"),
    "PAGING_RING_PFN": _Param("paging ring"),
    "MONITOR_RING_PFN": _Param("monitor ring"),
    "SHARING_RING_PFN": _Param("sharing ring"),
    "IDENT_PT": _Param("identity page table", address=True),
    "VM86_TSS": _Param("VM86 TSS", address=True),
    "VM_GENERATION_ID_ADDR": _Param("VM generation ID", address=True),
}

# Its magic, the number of pages, shared info's address, flags, the store's and the console's rings.
_START_INFO = {8: struct.Struct("<32sQQI4xQI4xQ"), 4: struct.Struct("<32sIIIIII")}
_START_MAGIC = b"xen-"


def special_pages(image: Image) -> tuple[SpecialPages, ...]:
    """Returns the special pages that an image tells of, in ascending order.

    Where a guest mapped its shared info page and its grant table is not saved.
    """
    pages = _of_pv(image) if image.type == "pv" else _of_hvm(image)
    return tuple(sorted(pages, key=lambda each: (each.pfn, each.frames)))


def mmio_hole(image: Image) -> SpecialPages | None:
    """Returns the hole below 4 GiB that an HVM or PVH guest keeps for devices; None for PV."""
    if image.type == "pv":
        return None
    kib = Config(values=image.config).get("b_info", "type.hvm", "mmio_hole_memkb")
    start = MMIO_START
    if isinstance(kib, int) and 0 < kib < MMIO_END << PAGE_SHIFT - _KIB_SHIFT:
        start = MMIO_END - (kib >> PAGE_SHIFT - _KIB_SHIFT)
    return SpecialPages("MMIO hole", start, MMIO_END - start)


def _of_hvm(image: Image) -> Iterator[SpecialPages]:
    params = {catalogue.space("hvm-param").name_of(n): value for n, value in image.params.items()}
    for name, param in _PARAMS.items():
        if params.get(name):
            value = params[name]
            yield SpecialPages(param.what, value >> PAGE_SHIFT if param.address else value)
    if params.get("IOREQ_SERVER_PFN"):
        count = min(params.get("NR_IOREQ_SERVER_PAGES", 1), MMIO_END)
        yield SpecialPages("ioreq server pages", params["IOREQ_SERVER_PFN"], count)
    if params.get("VM86_TSS_SIZED"):
        # The low half is the address, the high half the size.
        yield SpecialPages("VM86 TSS", (params["VM86_TSS_SIZED"] & 0xFFFFFFFF) >> PAGE_SHIFT)
    if image.type == "hvm":
        yield SpecialPages("VGA hole", _VGA_HOLE[0], _VGA_HOLE[1] - _VGA_HOLE[0])
        for pfn in _video_memory(image):
            if (run := _beginning(image.memory, pfn)) is not None and run.pfn == pfn:
                yield SpecialPages("video memory", pfn, run.frames)
    reserved = _beginning(image.memory, _RESERVED_START)
    if reserved is not None and reserved.pfn < _RESERVED_END:
        what = "ACPI tables, firmware" if image.type == "hvm" else "ACPI tables, start info"
        yield SpecialPages(what, reserved.pfn, reserved.frames)


def _beginning(memory: Memory, pfn: int) -> FrameRun | None:
    """Returns the first range of frames with contents that begins at a frame or above it."""
    # One that holds the frame below begins there, or further below.
    near = islice(memory.ranges(pfn - 1), 2)
    return next((run for run in near if run.pfn >= pfn), None)


def _video_memory(image: Image) -> Iterator[int]:
    """Yields the frames where video memory of QEMU's graphics cards begins: their first BAR."""
    try:
        models = emulators(image.tally, strict=False)
    except Malformed:
        # A device model's state that cannot be read costs a map this name only.
        return
    for emulator in models:
        for section in emulator.sections:
            state = emulator.state[section.offset + len(section.header) :][: section.length]
            if len(state) < _PCI_HEAD.size + _PCI_SIZE:
                continue
            (version,) = _PCI_HEAD.unpack_from(state)
            space = state[_PCI_HEAD.size :]
            if version != _PCI_VERSION or _DISPLAY.unpack_from(space) != _VGA_CLASS:
                continue
            low, high = _BARS.unpack_from(space)
            if low & ~_BAR_FLAGS and not low & _BAR_IO:
                address = low & ~_BAR_FLAGS | (high << 32 if low & _BAR_WIDTH == _BAR_64 else 0)
                yield address >> PAGE_SHIFT


def _of_pv(image: Image) -> Iterator[SpecialPages]:
    """Yields what start_info names; vCPU 0's rdx holds its frame at a suspend."""
    if 0 not in image.vcpu_numbers:
        return
    pfn = image.vcpu(0).registers.rdx
    # A width that no guest has tells no layout.
    layout = _START_INFO.get((image.width or 64) // 8)
    page = image.memory.page(pfn, zero=True)
    if layout is None or not page.startswith(_START_MAGIC):
        return
    yield SpecialPages("start info", pfn)
    *_, store, _, console = layout.unpack_from(page)
    for name, frame in (("xenstore ring", store), ("console ring", console)):
        if frame in image.memory:
            yield SpecialPages(name, frame)
