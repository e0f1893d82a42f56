"""What a command does with an input, and how many calls that takes."""

import io
import sys
import tempfile
from collections import Counter
from contextlib import suppress

from xensave import open as open_image
from xensave.container.walk import walk
from xensave.context import AbsentRecord, Context
from xensave.convert import ConversionRefused, Settings
from xensave.convert.stream.stream import StreamConverter
from xensave.diff import Selection, compare
from xensave.dump import FORMATS, Options, extract
from xensave.edit.apply import EditRequest, edit
from xensave.edit.assignment import parse_assignment
from xensave.edit.document.decode import decode_pieces
from xensave.edit.document.encode import Document, write_document
from xensave.engine import Domain, Hypervisor
from xensave.errors import LimitExceeded, Truncated, Unsupported, UsageError
from xensave.image.input import JudgedInput
from xensave.image.memory.memory_map import memory_map
from xensave.image.subjects import all_subjects
from xensave.records.json_text import json_pieces
from xensave.report.guest import guest_page
from xensave.rules.stream import verify
from xensave.source import open_source
from xensave.toolstack.judge import Judge
from xensave.views.guest.comparison import comparison_lines
from xensave.views.guest.memory_map import map_lines
from xensave.views.guest.summary import summary_lines
from xensave.views.records.fields import record_lines
from xensave.views.records.record_json import record_json

FACTOR = 8


def operations(function, data):
    """Return how many Python and C functions a call of a function makes."""
    function(data)
    counts = Counter()
    sys.setprofile(lambda _frame, event, _arg: counts.update((event,)))
    try:
        function(data)
    finally:
        sys.setprofile(None)
    return counts["call"] + counts["c_call"]


def show(data):
    with open_image(data) as image:
        return list(summary_lines(image, 100))


def show_all(data):
    with open_image(data) as image:
        return [list(record_lines(subject, 100)) for subject in all_subjects(image)]


def json_all(data):
    with open_image(data) as image:
        return [list(json_pieces(record_json(subject))) for subject in all_subjects(image)]


def verify_all(data):
    return list(verify(open_source(data)))


def convert(data):
    converter = StreamConverter(Settings("4.13"))
    # Streams without a guest's state are refused, at their end.
    with suppress(ConversionRefused):
        for event in walk(open_source(data)):
            converter.convert(event)


def memory_all(data):
    # The memory map asks the vCPUs, whose records may be cut.
    with open_image(data) as image, suppress(Truncated):
        return list(map_lines("input", memory_map(image), 100))


def extract_all(data):
    with open_image(data) as image, suppress(AbsentRecord, UsageError):
        return [extract(image, "/dev/null", format, Options()) for format in FORMATS]


def compare_with_itself(data):
    with open_image(data) as old, open_image(data) as new:
        return list(comparison_lines(compare(old, new, Selection()), 100))


def decode(data):
    with open_source(data) as source:
        return list(map("".join, decode_pieces(source, None)))


def encode(data):
    document = Document.load(io.StringIO("".join(decode(data))))
    with open_source(data) as source, open("/dev/null", "wb") as out:
        write_document(document, source, out.fileno())


def encoded(data):
    """Return the image that `encode` makes of what `decode` wrote."""
    document = Document.load(io.StringIO("".join(decode(data))))
    with open_source(data) as source, tempfile.TemporaryFile() as out:
        write_document(document, source, out.fileno())
        out.seek(0)
        return out.read()


def edit_all(data):
    with suppress(UsageError):
        edit(data, None, EditRequest([parse_assignment("TSC.nsec=0")], "4.17", "4.17", force=True))


def report(data):
    with open_image(data) as image:
        return guest_page(image, Judge(["4.17"]), "input", "guest", full=True)


def judge_all(data):
    with open_image(data) as image:
        return Judge(["4.17"]).judge(JudgedInput("input", None, None, image), "4.17")


def load(context):
    vcpus = Context.parse(context).vcpus
    return Hypervisor("4.17.7", Domain("pvh", vcpus)).load(context)


WORK = [
    show, show_all, json_all, verify_all, convert, memory_all, extract_all, compare_with_itself,
    decode, encode, edit_all, report, judge_all,
]  # fmt: skip


def broken_off(function):
    def until_it_ends(data):
        # `decode` takes no legacy stream.
        with suppress(LimitExceeded, Unsupported):
            function(data)

    return until_it_ends
