"""A PV guest's page tables: what Xen's get_page_from_l1e() and alloc_page_type() refuse of them."""

import struct

import pytest

from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.engine.pv.memory import PvMemory
from xensave.engine.pv.tables import refusal
from xensave.image import open_image
from xensave.testing.pv import pv_stream

READ, WRITE = 1, 3
GDT = 9
BEYOND = 1 << 63
TYPES = (4, 3, 2, 1, 1 | 8, *[0] * 7)
"""PFN 0 is the top, 1 - 4 are tables below it, the last of them pinned, 5 - 11 are pages."""
SANE = {0: [(1, WRITE)], 1: [(2, WRITE)], 2: [(3, WRITE)], 3: [(5, WRITE), (GDT, READ), (1, READ)]}


def judged(changed):
    """Return Xen's refusal of the sane tables with some entries in place of theirs."""
    tables = {**SANE, **changed}
    pages = b"".join(
        struct.pack("<512Q", *[pfn << 12 | bits for pfn, bits in tables.get(number, ())][:512],
                    *[0] * (512 - len(tables.get(number, ()))))
        for number in range(len(TYPES))
    )  # fmt: skip
    words = struct.pack(f"<{len(TYPES)}Q", *(type_ << 60 | n for n, type_ in enumerate(TYPES)))
    front = struct.pack("<II", len(TYPES), 0)
    with open_image(pv_stream(memory=pack_record(libxc.PAGE_DATA, front + words + pages))) as image:
        refused = refusal(PvMemory.of(image, image.facts), [(0, 4)], {GDT, BEYOND})
    return None if refused is None else refused.reason


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {0: [(1, WRITE), (0, READ)]},
        {0: [(1, WRITE)] + [(0, 0)] * 255 + [(7, WRITE)]},
        {3: [(7, WRITE), (4000, WRITE)]},
        {4: [(8, WRITE)]},
    ],
)
def test_tables_that_xen_takes(changed):
    """Also one that maps itself for reading, Xen's own slots, and a frame that was not sent."""
    assert judged(changed) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({3: [(5, WRITE), (2, WRITE)]}, "in PFN 0x3 may write to that in PFN 0x2"),
        ({3: [(GDT, WRITE), (2, WRITE)]}, "in PFN 0x3 may write to the GDT in PFN 0x9"),
        ({4: [(3, WRITE)]}, "in PFN 0x4 may write to that in PFN 0x3"),
        ({0: [(1, WRITE), (0, WRITE)]}, "PFN 0x0 is a page table of level 4 and of level 3"),
        ({1: [(2, WRITE), (3, WRITE)]}, "PFN 0x1 is a page table of level 3 and of level 1"),
        (
            {2: [(3, WRITE), (7, READ)], 7: [(5, READ)]},
            "PFN 0x7 is used as a page table of level 1",
        ),
    ],
)
def test_tables_that_xen_refuses(changed, reason):
    assert reason in judged(changed)
