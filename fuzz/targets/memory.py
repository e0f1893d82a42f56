"""A guest's memory: its map, its bytes by every address, dumps of it, gdb's questions."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from functools import cache

from fuzz.corpus import seeds
from fuzz.printing import printable
from xensave import open as open_image
from xensave.convert import thin as thinning
from xensave.dump import FORMATS, Options
from xensave.dump import extract as extraction
from xensave.dump.gdb import Session
from xensave.dump.gdb.packets import Packets, packet
from xensave.errors import XensaveError
from xensave.image import Image
from xensave.image.memory.memory_map import file_map, memory_map
from xensave.image.memory.reverse import ReverseMap
from xensave.memory.search import search
from xensave.views.guest.memory_map import map_json, map_lines
from xensave.views.text.hexdump import hexdump_lines

NOWHERE = "/dev/null"
PATTERNS = (re.compile(rb"Linux"), re.compile(rb"[a-z]{3,9}\x00"))
ADDRESSES = (0, 0xFFF, 0xB8000, 1 << 32, (1 << 47) - 1, 0xFFFFFFFF81000000, (1 << 64) - 1)
QUESTIONS = (
    b"qSupported:xmlRegisters=i386", b"qXfer:features:read:target.xml:0,ffb", b"qfThreadInfo",
    b"Hg1", b"g", b"p10", b"m0,40", b"mffffffff81000000,400", b"vCont;c", b"D",
)  # fmt: skip


def memory(data: bytes) -> None:
    """Everything that `memory` can print, and what each vCPU sees at some addresses."""
    with open_image(data) as image:
        found = memory_map(image)
        printable(map_lines("input", found, 100))
        json.loads("".join(map_json("input", found, file_map(image, found.contents))))
        for address in ADDRESSES:
            with suppress(XensaveError):
                printable(hexdump_lines(image.memory.read(address, 300, zero=True), address))
        vcpus = [image.vcpu(number) for number in image.vcpu_numbers[:4]]
        for vcpu in vcpus:
            for address in ADDRESSES:
                with suppress(XensaveError):
                    vcpu.read(address, 300)
        reverse = ReverseMap(vcpus)
        for pattern in PATTERNS:
            for hit in search(image.memory, pattern):
                reverse.virtual(hit.physical)


def extract(data: bytes) -> None:
    """A dump in every format."""
    with open_image(data) as image:
        for format in FORMATS:
            with suppress(XensaveError):
                extraction(image, NOWHERE, format, Options())


def gdb(data: bytes) -> None:
    """What gdb asks of a guest when it connects."""
    with open_image(data) as image:
        asked = b"".join(map(packet, QUESTIONS))
        Session(image).run(Packets(io.BytesIO(asked), io.BytesIO()))


def packets(data: bytes) -> None:
    """Whatever comes in place of gdb's packets."""
    Session(_guest()).run(Packets(io.BytesIO(data), io.BytesIO()))


@cache
def _guest() -> Image:
    return open_image(seeds()["kernel"])


def thin(data: bytes) -> None:
    """A live stream without what is sent again."""
    with open_image(data) as image:
        thinning.thin(image, NOWHERE)
