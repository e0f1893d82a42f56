"""An image as it is compared, edited, decoded, judged by policy, reported and scanned."""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from fuzz.corpus import EXAMPLES, seeds
from fuzz.printing import printable
from fuzz.targets.choice import some
from fuzz.targets.place import folder
from xensave import open as open_image
from xensave.diff import Selection, compare
from xensave.edit.apply import EditRequest
from xensave.edit.apply import edit as edited
from xensave.edit.assignment import parse_assignment
from xensave.edit.document.decode import decode_pieces
from xensave.edit.document.encode import Document, write_document
from xensave.errors import XensaveError
from xensave.fleet.parts import table_of
from xensave.fleet.row import rows_of
from xensave.fleet.scan import Question
from xensave.fleet.schema import schema
from xensave.image import Image
from xensave.policy.host import Host
from xensave.policy.hostfile import read_host
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import restored
from xensave.records.json_text import json_pieces
from xensave.report.guest import guest_page
from xensave.report.render import render_guests
from xensave.source import open_source
from xensave.source.opening import VHD
from xensave.source.remote.addresses import StoreObject
from xensave.toolstack.judge import Judge
from xensave.views.guest.comparison import comparison_json, comparison_lines
from xensave.views.guest.policy import policy_json, policy_lines, refusal_json, refusal_line

CHANGES = (
    "CPU.rip=0x1000", "CPU[0].cr4.SMEP=1", "TSC.nsec=0", "LAPIC.apic_base_msr|=8",
    "HVM_PARAMS.STORE_PFN=0xfeffc", "CPUID[7].ebx&=~8", "CONFIG.b_info.max_vcpus=2",
)  # fmt: skip
RELEASES = ("4.13", "4.15.2", "4.17", "4.21")
QUESTION = Question(("4.13", "4.20.2"), str(EXAMPLES / "hosts" / "amd.txt"))


def diff(data: bytes) -> None:
    """What differs from an image that is whole."""
    with open_image(data) as image, _whole() as other:
        found = compare(image, other, Selection())
        printable(comparison_lines(found, 100, volatile=True, pages=True))
        json.loads("".join(json_pieces(comparison_json(found, pages=True))))


def _whole() -> Image:
    return open_image(seeds()["kernel"])


def edit(data: bytes) -> None:
    """Some changes, judged and forced, of a file that stays as it is."""
    for text in some(CHANGES, data, 3):
        for force in (False, True):
            request = EditRequest([parse_assignment(text)], "4.17", "4.17", force)
            with suppress(XensaveError):
                done = edited(data, "/dev/null" if force else None, request)
                [change.path for change in done.changes]


def decode_and_encode(data: bytes) -> None:
    """The JSON of it, and the image of that JSON: it must be the bytes that were decoded."""
    with open_source(data) as source:
        text = "".join(map("".join, decode_pieces(source, None)))
    document = Document.load(io.StringIO(text))
    with open_source(data) as source, tempfile.TemporaryFile() as file:
        write_document(document, source, file.fileno())
        file.seek(0)
        if source.seekable and not data.startswith(VHD) and file.read() != data:
            raise AssertionError("what was decoded is not encoded again")


def policy(data: bytes) -> None:
    """What becomes of the guest's policy on a release, on any host and on one."""
    with open_image(data) as image:
        facts = image.facts
    for release in some(RELEASES, data, 1):
        for host in (None, _host()):
            answer = restored(facts.leaves, facts.msrs, release, host=host)
            if isinstance(answer, PolicyRefusal):
                printable([refusal_line(answer, release)])
                json.dumps(refusal_json(answer, release))
            else:
                printable(policy_lines(answer.policy, 100))
                json.dumps(policy_json(answer.policy))


@cache
def _host() -> Host:
    return read_host(str(EXAMPLES / "hosts" / "amd.txt"))


def report(data: bytes) -> None:
    """A page of it with all that may be secret."""
    with open_image(data) as image:
        page = guest_page(image, _judge(), "input", "guest-1", full=True)
    text = render_guests([page], "Saved guests")
    if "<script" in text.lower() or "\x1b" in text:
        raise AssertionError("a text of the input is markup of the page")


@cache
def _judge() -> Judge:
    return Judge(["4.17"])


def scan(data: bytes) -> None:
    """The row of a table."""
    path = Path(folder()) / "image"
    path.write_bytes(data)
    rows = rows_of([StoreObject(str(path), len(data), 0.0)], QUESTION)
    table_of(rows, schema("{}"))
