"""Leave out most pages of an HVM guest's image, to keep the rest as data.

    python -m tests.memory.drop IMAGE OUT.zst FIRST-LAST ... PHYSICAL ...

Kept are the page tables, the ranges of frames and the pages at the addresses given, all in hex;
the others become frames without contents (XTAB). All other records stay what they were; of a
raw image.
"""

import sys
from pathlib import Path

import zstandard

from tests.memory.blank import PAGE, tables_of
from xensave import open as open_image
from xensave.container.events import LIBXC
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import DATALESS_TYPES, PageData
from xensave.container.walk import walk
from xensave.source import open_source

PFN = (1 << 52) - 1
XTAB = 0xF << libxc.TYPE_SHIFT


def drop(image_path: str, out: str, *places: str) -> None:
    """Write the image with the pages that are kept."""
    with open_image(image_path) as image:
        keep = set(tables_of(image))
    for place in places:
        first, _, last = place.partition("-")
        keep |= set(range(int(first, 16), int(last, 16) + 1)) if last else {int(first, 16) // PAGE}
    data = Path(image_path).read_bytes()
    parts, done = [], 0
    with open_source(data) as source:
        for event in walk(source):
            if event.is_record(LIBXC, libxc.PAGE_DATA):
                body = data[event.body_offset : event.body_offset + event.length]
                parts += [data[done : event.offset], pack_record(event.type, _without(body, keep))]
                done = event.end
    whole = b"".join([*parts, data[done:]])
    Path(out).write_bytes(zstandard.ZstdCompressor(level=19).compress(whole))


def _without(body: bytes, keep: set[int]) -> bytes:
    """Return a PAGE_DATA's body without the pages that are not kept."""
    front = PageData.parse(body)
    words, pages, at = [], [], front.size
    for word in front.pfns:
        there = word >> libxc.TYPE_SHIFT not in DATALESS_TYPES
        if there and word & PFN in keep:
            pages.append(body[at : at + PAGE])
        words.append(word if not there or word & PFN in keep else word & PFN | XTAB)
        at += PAGE * there
    return PageData(tuple(words)).to_bytes() + b"".join(pages)


if __name__ == "__main__":
    drop(*sys.argv[1:])
