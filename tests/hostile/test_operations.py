"""Work grows with the input and no faster: calls are counted, not seconds."""

import io
import json
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest

from xensave import open as open_image
from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import (
    PAIR,
    PARAM,
    CpuidLeaf,
    VcpuBlob,
    pack_cpuid_policy,
)
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
from xensave.engine import Accepted, Depends, Domain, Hypervisor, Refused
from xensave.engine.loop import load as load_module
from xensave.errors import LimitExceeded, Truncated, Unsupported, UsageError
from xensave.image.input import JudgedInput
from xensave.image.memory.memory_map import memory_map
from xensave.image.subjects import all_subjects
from xensave.records.compiled.nodes import Array, StructNode
from xensave.records.json_text import json_pieces
from xensave.report.charts import LEAST_WIDTH, WIDTH, bar
from xensave.report.guest import guest_page
from xensave.report.page import ROWS_LIMIT
from xensave.report.registers import VCPUS_LIMIT
from xensave.rules.stream import verify
from xensave.source import limits, open_source
from xensave.testing import legacy, streams
from xensave.testing.pv import BASIC_SIZE, pv_stream
from xensave.toolstack.judge import Judge
from xensave.toolstack.libxl import config
from xensave.toolstack.libxl.config import first_unusable, reach, unusable
from xensave.views.guest.comparison import comparison_lines
from xensave.views.guest.memory_map import map_lines
from xensave.views.guest.summary import summary_lines
from xensave.views.records.fields import record_lines
from xensave.views.records.record_json import record_json

FACTOR = 8
EXAMPLES = Path(__file__).parents[2] / "examples"


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


def empty_records(count):
    stream = streams.libxc_stream(pack_record(OPTIONAL | 0x77) * count)
    return streams.libxl_stream(stream)


def faulty_records(count):
    return streams.libxc_stream(pack_record(OPTIONAL | 0x77, b"x", b"padding") * count)


def checkpoints(count):
    return streams.checkpointed("4.17", count)


def vcpus(count):
    return streams.hvm_image(vcpus=count, pages=1)


def pv_vcpus(count):
    return pv_stream(vcpus=count)


def empty_vcpus(count):
    """CPU records without a byte, and a page, so that there is memory to extract."""
    first = next(hvm.iterate(streams.context("4.17")))
    entries = [first, *(hvm.Entry(2, number, b"") for number in range(count))]
    context = hvm.pack_entries([*entries, hvm.Entry(hvm.END_TYPECODE, 0, b"")])
    return streams.libxc_stream(streams.page_data([0]) + pack_record(libxc.HVM_CONTEXT, context))


def empty_pv_vcpus(count):
    blobs = (VcpuBlob(number, bytes(8)).to_bytes() for number in range(count))
    records = b"".join(pack_record(libxc.X86_PV_VCPU_BASIC, blob) for blob in blobs)
    end = pack_record(libxc.END)
    return pv_stream(vcpus=0).removesuffix(end) + records + end


def xenstore(count):
    keys = [(f"key/{number}", "value") for number in range(count)]
    return streams.libxl_stream(streams.libxc_stream(b""), streams.emulator(keys))


def emulators(count):
    records = b"".join(
        pack_record(
            libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, number).to_bytes() + b"QEVM\0\0\0\3"
        )
        for number in range(count)
    )
    return streams.libxl_stream(streams.libxc_stream(b""), records)


def pages(count):
    return streams.libxc_stream(b"".join(streams.page_data([number]) for number in range(count)))


def policies(count):
    leaves = pack_cpuid_policy([CpuidLeaf(number, 0, 1, 2, 3, 4) for number in range(count)])
    return (
        streams.stream_head("4.17", libxc.HVM)
        + pack_record(libxc.X86_CPUID_POLICY, leaves)
        + streams.static_data("4.17")
        + pack_record(libxc.END)
    )


def differences(count):
    """A Remus stream: batches of one page each, then as many pages that differ from zeros."""
    plain = b"".join(legacy.pages([number]) for number in range(count))
    later = {count + number: bytes(4096) for number in range(count)}
    unchanged = legacy.compressed(later, later)
    body = plain + legacy.ENABLE_COMPRESSION + unchanged + legacy.LAST + legacy.END
    return legacy.ulongs([4 * count], 8) + body + legacy.hvm_tail(streams.context("4.5"))


WORK = [
    show, show_all, json_all, verify_all, convert, memory_all, extract_all, compare_with_itself,
    decode, encode, edit_all, report, judge_all,
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "small"),
    [
        (empty_records, 100),
        (faulty_records, 100),
        (checkpoints, 4),
        (vcpus, 16),
        (pv_vcpus, 16),
        (empty_vcpus, 50),
        (empty_pv_vcpus, 50),
        (xenstore, 100),
        (emulators, 50),
        (pages, 20),
        (policies, 20),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("function", WORK)
def test_linear(function, make, small):
    few, many = make(small), make(small * FACTOR)
    assert operations(function, many) <= (FACTOR + 1) * operations(function, few)


@pytest.mark.parametrize("function", [show, verify_all, convert, memory_all, judge_all, report])
def test_differences_are_linear(function):
    """What each page held before is looked up, not searched for in every batch."""
    few, many = differences(40), differences(40 * FACTOR)
    assert operations(function, many) <= (FACTOR + 1) * operations(function, few)


def traps(count):
    """A PV guest's vCPUs, each with 256 entries in its trap table, no two alike."""
    random = Random(1)
    bodies = (VcpuBlob(number, random.randbytes(BASIC_SIZE)).to_bytes() for number in range(count))
    records = b"".join(pack_record(libxc.X86_PV_VCPU_BASIC, body) for body in bodies)
    end = pack_record(libxc.END)
    return pv_stream(vcpus=0).removesuffix(end) + records + end


@pytest.mark.parametrize(
    ("function", "most"),
    [(show_all, 70), (json_all, 40), (report, 65), (decode, 130), (encode, 165)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_entry_of_a_table_costs_few_calls(function, most):
    """A small image can hold many tables: an entry that costs hundreds of calls takes long."""
    assert operations(function, traps(9)) - operations(function, traps(1)) <= most * 8 * 256


@pytest.mark.parametrize("make", [empty_vcpus, empty_pv_vcpus])
@pytest.mark.parametrize("function", [show_all, json_all, decode])
def test_a_record_without_contents_says_little(function, make):
    """What a record does not have is not printed: a context of half a megabyte has 65,000."""

    def length(count):
        return len(str(function(make(count))))

    assert (length(200) - length(100)) / 100 < 1500


def test_a_page_shows_as_many_vcpus_as_a_guest_has():
    page = report(empty_vcpus(VCPUS_LIMIT + 2))
    assert len(page.vcpus) == VCPUS_LIMIT + 1
    assert page.vcpus[-1].title == "2 more vCPUs"
    again = [hvm.Entry(2, 0, b"")] * 20
    first = next(hvm.iterate(streams.context("4.17")))
    context = hvm.pack_entries([first, *again, hvm.Entry(hvm.END_TYPECODE, 0, b"")])
    (block,) = report(context).vcpus
    assert block.tables[-1].note == "8 more records of it are left out."


def test_a_page_shows_as_many_records_and_pieces_as_anybody_reads():
    count = ROWS_LIMIT + 2000
    table = report(empty_vcpus(count)).records[-1]
    assert (table.rows[0][0], len(table.rows)) == ("HEADER[0]", ROWS_LIMIT)
    # HEADER and END stand around the vCPUs.
    assert table.note == f"{count + 2 - ROWS_LIMIT:,} more are left out."
    many = [(f"kind {n}", f"{n}", 8) for n in range(100_000)]
    segments = bar("", many).segments
    assert WIDTH / LEAST_WIDTH / 2 < len(segments) <= WIDTH / LEAST_WIDTH + 1
    assert sum(segment.width for segment in segments) == pytest.approx(WIDTH)
    assert segments[-1].text.endswith("; the last is 99999")


def test_a_conversion_is_linear_in_hvm_params():
    record = pack_record(libxc.HVM_PARAMS, PAIR.pack(1, 0) + PARAM.pack(1, 0xFEFF2))
    few, many = (streams.libxc_stream(record * count) for count in (50, 50 * FACTOR))
    assert operations(convert, many) <= (FACTOR + 1) * operations(convert, few)


def test_a_check_is_linear_in_vcpus():
    real = (EXAMPLES / "pvh1.ctx").read_bytes()
    few, many = (streams.with_vcpus(real, count) for count in (16, 128))
    assert load(many).loaded > 128 * 5
    assert operations(load, many) <= (FACTOR + 1) * operations(load, few)


@pytest.mark.parametrize("function", [show, verify_all, convert])
def test_the_contents_of_pages_cost_nothing(function):
    """Ten times the pages in as many records: the same calls."""
    few = streams.libxc_stream(streams.page_data(range(10)) * 20)
    many = streams.libxc_stream(streams.page_data(range(100)) * 20)
    assert abs(operations(function, many) - operations(function, few)) < FACTOR


def repeated(typecode):
    """A context with a million records of eight bytes, of one typecode."""
    real = (EXAMPLES / "pvh1.ctx").read_bytes()
    return real[:-8] + hvm.DESCRIPTOR.pack(typecode, 0, 0) * 1_000_000 + real[-8:]


@pytest.mark.parametrize(("typecode", "known"), [(99, False), (11, True)])
def test_a_context_of_empty_records_is_judged_as_far_as_a_guest_has_any(typecode, known):
    """Xen refuses the first of no handler; an RTC without a byte it takes, each time it comes."""

    def ask(data):
        return Judge(["4.17"]).judge(JudgedInput("input", None, data, None), "4.17")

    context = repeated(typecode)
    verdict = ask(context)
    assert isinstance(verdict, Depends if known else Refused)
    if known:
        assert verdict.depends == ("whether what follows 65,536 records loads",)
        assert verdict.loaded == load_module.RECORDS_LIMIT
    # Each descriptor is unpacked once, to tell how many vCPUs there are.
    assert operations(ask, context) < 1_000_000 + 40 * load_module.RECORDS_LIMIT * known + 5000


def test_the_records_of_a_long_context_are_named_once_for_all_releases():
    context = repeated(99)

    def ask():
        for target in ("4.15", "4.16", "4.17"):
            judge = Judge([target])
            assert isinstance(
                judge.judge(JudgedInput("input", None, context, None), target), Refused
            )

    assert operations(lambda _: ask(), None) < 1_500_000


def short_records(type_, count):
    return streams.libxc_stream(pack_record(type_) * count)


def batches(width, count):
    """A legacy stream of batches of one entry, whose page is not there."""
    one = (legacy.batch([0xF0000000 | number], b"", width) for number in range(count))
    return legacy.hvm_stream(width, body=b"".join(one), p2m_size=1 << 20)


def markers(chunk, count):
    """A legacy stream of chunks that become no record of today's."""
    return legacy.hvm_stream(extra=chunk * count)


SHORT = [
    *(partial(short_records, type_) for type_ in (libxc.VERIFY, OPTIONAL | 0x77, 0x77)),
    partial(short_records, libxc.X86_PV_INFO),
    faulty_records,
    partial(batches, 4),
    partial(batches, 8),
    partial(markers, legacy.LAST),
    partial(markers, legacy.TSC),
    partial(markers, legacy.toolstack(())),
]


@pytest.mark.parametrize("make", SHORT, ids=range(len(SHORT)))
def test_short_records_are_looked_at_as_far_as_any_stream_has_them(make, monkeypatch):
    """A bound that a short file reaches: what follows costs nothing, and every answer says so."""
    monkeypatch.setattr(limits, "RECORDS_FLOOR", 100)
    few, many = make(500), make(4000)
    bounded = [judge_all, broken_off(show), verify_all, broken_off(convert), broken_off(decode)]
    for function in bounded:
        # One record more for 256 bytes of those that are passed.
        assert operations(function, many) - operations(function, few) < 1000, function
    assert "what follows was not looked at" in verify_all(many)[-1].message
    with pytest.raises(LimitExceeded, match=r"records of \d+ bytes on average"):
        show(many)
    verdict = judge_all(many)
    assert isinstance(verdict, Refused) or "not looked at" in verdict.depends[0]


def test_a_short_record_is_decoded_as_far_as_it_reaches(monkeypatch):
    """The traps of a vCPU whose registers are cut are read and written by nobody."""
    read = Counter()
    for node in (StructNode, Array):
        original = node.read

        def counted(self, buffer, at, original=original):
            read[self.size] += 1
            return original(self, buffer, at)

        monkeypatch.setattr(node, "read", counted)
    once = decode(empty_pv_vcpus(20))
    assert max(read, default=0) < BASIC_SIZE // 4
    read.clear()
    decode(traps(1))
    assert max(read) >= BASIC_SIZE // 4
    assert len(once) == len(decode(empty_pv_vcpus(20)))


def disks(count):
    """An image whose configuration has disks of which it says nothing."""
    image = streams.hvm_image(vcpus=1, pages=1)
    stream = image[image.index(b"LibxlFmt") :]
    values = {
        "c_info": {"type": "hvm", "name": "guest"},
        "b_info": {"max_vcpus": 1, "max_memkb": 1 << 20, "target_memkb": 1 << 20, "type.hvm": {}},
        "disks": [{}] * count,
    }
    return streams.xl_image(stream, json.dumps(values).encode() + b"\0")


def test_a_configuration_is_looked_at_once_for_releases_that_read_it_alike():
    def judge_anew(data):
        config._answers.cache_clear()
        return judge_all(data)

    assert isinstance(judge_anew(disks(3)), Accepted | Depends)
    few, many = (operations(judge_anew, disks(count)) for count in (100, 1100))
    # Three answers: of 4.17.0, 4.17.2 and 4.17.3.
    assert (many - few) / 1000 < 30


def test_releases_that_read_a_configuration_otherwise_have_their_own_answer():
    values = {"b_info": {"cpuid": {"cpuid": []}, "type.hvm": {"vga.kind": "none"}}}
    for _ in range(2):
        for release in ("4.17.1", "4.17.2", "4.2", "4.17.3", "4.17.2"):
            wrong = unusable(values, release)
            first = min(wrong, key=lambda each: reach(each.path), default=None)
            assert first_unusable(values, release) == first
    assert first_unusable(values, "4.17.1") != first_unusable(values, "4.17.2")


def broken_off(function):
    def until_it_ends(data):
        # `decode` takes no legacy stream.
        with suppress(LimitExceeded, Unsupported):
            function(data)

    return until_it_ends
