"""Seeds that are no images: what each kind of text looks like where it is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from fuzz.corpus import EXAMPLES, TESTS, seeds
from xensave.dump.gdb.packets import packet
from xensave.edit.document.decode import decode_pieces
from xensave.source import open_source
from xensave.testing.frames import DOMAIN, VM

WORDS = "1789c3f5-f7f83203-2c100800-00000001-0000000f-219c01ab-0040000c-00000100-00001000"
SERIES = {
    "id": 7,
    "name": "hvm/save: a number",
    "mbox": "http://patchwork.invalid/series/7/mbox/",
    "web_url": "http://patchwork.invalid/series/7/",
    "patches": [{"id": 9, "name": "[1/1] hvm/save: a number", "msgid": "<1@x>"}],
}
EVENTS = [{"category": "series-completed", "payload": {"series": {"id": 7}}}]
LINK = '\n<http://patchwork.invalid/api/1.3/events/?page=2>; rel="next"'
ASSIGNMENTS = (
    "CPU[0].rip=0x1000", "CPU.cr4.SMEP=1", "tsc.nsec=0", "IOAPIC.redirtbl[1-3].bits|=0x10000",
    "LAPIC_REGS[0-1].data=00ff", "HVM_PARAMS.STORE_PFN=~8", "CONFIG.b_info.max_vcpus=2",
    "CPUID[7].ebx&=~8", "MSRS.0x8b=1", "2.gs_base=-1",
)  # fmt: skip
QUESTIONS = (
    b"qSupported:multiprocess+", b"?", b"g", b"p1", b"m0,40", b"mffffffff81000000,4", b"Hg1",
    b"T1", b"qXfer:features:read:target.xml:0,ffb", b"qXfer:threads:read::0,ffb", b"qC",
    b"qThreadExtraInfo,1", b"vCont;c:1", b"QStartNoAckMode", b"X0,0:", b"D;1", b"k",
)  # fmt: skip


@cache
def texts() -> dict[str, dict[str, bytes]]:
    """Return the seeds of each kind by name."""
    host = (EXAMPLES / "hosts" / "amd.txt").read_bytes()
    return {
        "assignment": {text: text.encode() for text in ASSIGNMENTS},
        "document": dict(_documents()),
        "host": {"text": host, "block": host[:900], "words": f"features_hvm: {WORDS}\n".encode()},
        "metadata": {
            "libvirt": DOMAIN.encode(),
            "xenopsd": VM.encode(),
            "xl": b'{"c_info":{"type":"hvm","name":"a"},"b_info":{"max_vcpus":2,"type.hvm":{}}}',
            "cfg": b'name = "a"\nvcpus = 2\ntype = "pvh"\nmemory = 512\n',
        },
        "packets": {
            **{f"{number}": packet(data) for number, data in enumerate(QUESTIONS)},
            "all": b"".join(b"+" + packet(data) for data in QUESTIONS),
        },
        "patch": {path.name: path.read_bytes() for path in sorted(TESTS.rglob("patches/**/*.*"))},
        "patchwork": {
            "series": json.dumps(SERIES).encode(),
            "events": (json.dumps(EVENTS) + LINK).encode(),
        },
    }


def _documents() -> Iterator[tuple[str, bytes]]:
    for name in ("hvm1.ctx", "xl", "libxc3", "xenopsd", "libvirt", "pv", "policies"):
        with open_source(seeds()[name]) as source:
            yield name, "\n".join(map("".join, decode_pieces(source, None))).encode()
