"""What no guest has so many of is looked at, and said, as far as a guest has any."""

from collections import Counter
from functools import partial

import pytest

from tests.hostile.operations.inputs import (
    EXAMPLES,
    empty_checkpoints,
    empty_keys,
    empty_pv_vcpus,
    empty_vcpus,
    faulty_records,
    leaves,
    msrs,
    params,
    pv_msrs,
    saved_msrs,
    traps,
)
from tests.hostile.operations.work import (
    broken_off,
    compare_with_itself,
    convert,
    decode,
    edit_all,
    encoded,
    extract_all,
    json_all,
    judge_all,
    operations,
    report,
    show,
    show_all,
    verify_all,
)
from xensave import context
from xensave import open as open_image
from xensave.container.frames import sexp
from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.context import Context
from xensave.convert.stream import stream
from xensave.engine import Depends, Refused
from xensave.engine.loop import load as load_module
from xensave.errors import LimitExceeded
from xensave.image.input import JudgedInput
from xensave.records.compiled.nodes import Array, StructNode
from xensave.records.stream import ENTRIES_LIMIT
from xensave.report.charts import LEAST_WIDTH, WIDTH, bar
from xensave.report.page import ROWS_LIMIT
from xensave.report.registers import ENTRIES_LIMIT as VCPU_LIMIT
from xensave.report.registers import VCPUS_LIMIT
from xensave.source import limits
from xensave.testing import frames, legacy, streams
from xensave.testing.pv import BASIC_SIZE
from xensave.toolstack.judge import Judge


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


def test_a_release_more_costs_no_walk_over_the_records_of_a_long_context():
    def ask(targets):
        judge = Judge(targets)
        with open_image(empty_vcpus(40_000)) as image:
            for target in targets:
                judge.judge(JudgedInput("input", None, None, image), target)

    few, many = ["4.17"], ["4.15", "4.16", "4.17"]
    assert operations(ask, many) - operations(ask, few) < 40_000


def test_a_context_has_as_many_records_as_guests_have(monkeypatch):
    """What is behind them costs nothing: a record without a byte costs as much as one with many."""
    monkeypatch.setattr(context, "RECORDS_LIMIT", 100)
    few, many = empty_vcpus(500), empty_vcpus(4000)
    with pytest.raises(LimitExceeded, match=r"more than \d+ records in \d"):
        show_all(many)
    for function in (show_all, json_all, convert, extract_all, compare_with_itself, edit_all):
        more = operations(broken_off(function), many) - operations(broken_off(function), few)
        # One record more for 32 of those that are passed, and a glance at each.
        assert more < 3500 * 7, function
    assert encoded(many) == many


def test_a_context_of_many_vcpus_is_no_long_one():
    real = streams.with_vcpus((EXAMPLES / "pvh1.ctx").read_bytes(), 3000)
    assert Context.parse(real).vcpus == 3000 > context.RECORDS_LIMIT // 6


@pytest.mark.parametrize("records", [1, 4])
def test_a_device_model_has_as_many_keys_as_anybody_reads(records, monkeypatch):
    """An empty key and value are two bytes: a record of a mebibyte has half a million."""
    monkeypatch.setattr(libxl, "KEYS_LIMIT", 100)
    few, many = (empty_keys(count // records, records) for count in (200, 4000))
    for function in (show, convert, compare_with_itself, report):
        more = operations(broken_off(function), many) - operations(broken_off(function), few)
        assert more < 1900, function
    with pytest.raises(LimitExceeded, match="more than 100 xenstore keys"):
        show(many)
    bounded = [finding for finding in verify_all(many) if finding.rule == "LIBXL_XENSTORE_BOUNDED"]
    assert len(bounded) == records
    assert encoded(many) == many


@pytest.mark.parametrize("make", [leaves, msrs, params])
def test_entries_are_taken_apart_as_far_as_a_policy_has_any(make):
    """Xen refuses a policy of so many; as bytes they are shown, and come back."""
    most = ENTRIES_LIMIT // 24
    few, many = make(5 * most), make(10 * most)
    for function in (show_all, json_all, decode):
        more = operations(function, many) - operations(function, few)
        # Lines of bytes, as many as there are.
        assert more / (5 * most) < 10, function
    assert "not taken apart" in str(json_all(many))
    assert encoded(many) == many


@pytest.mark.parametrize("make", [leaves, msrs, params])
def test_a_page_makes_rows_of_what_it_shows(make):
    few, many = (make(ROWS_LIMIT + count) for count in (1, 20_001))
    assert (operations(report, many) - operations(report, few)) / 20_000 < 6


def test_a_page_shows_as_many_msrs_of_a_vcpu_as_it_has():
    (block,) = report(saved_msrs(VCPU_LIMIT + 44)).vcpus
    (table,) = [table for table in block.tables if table.title == "CPU_MSR"]
    assert table.note.endswith("44 more entries are left out.")
    few, many = saved_msrs(1000), saved_msrs(2000)
    assert operations(report, many) - operations(report, few) < 1000


@pytest.mark.parametrize("make", [saved_msrs, pv_msrs])
def test_an_msr_that_goes_is_judged_by_one_release(make):
    """A record of 64 KiB has four thousand: what one release refuses no other is asked about."""
    few, many = make(500), make(1500)
    assert (operations(convert, many) - operations(convert, few)) / 1000 < 25


def test_checkpoints_of_no_bytes_are_judged_as_far_as_a_guest_has_any(monkeypatch):
    """To judge a checkpoint takes ten thousand calls; one with a guest's state is judged always."""
    monkeypatch.setattr(stream, "CHECKPOINTS_FLOOR", 10)
    few, many = (empty_checkpoints(count) for count in (100, 400))
    assert (operations(convert, many) - operations(convert, few)) / 300 < 500


def test_words_are_read_as_far_as_a_description_has_any(monkeypatch):
    monkeypatch.setattr(sexp, "WORDS_LIMIT", 100)
    few, many = (frames.suspend_image(front=described(count)) for count in (200, 5000))
    for function in (broken_off(show), verify_all, broken_off(convert), judge_all):
        assert operations(function, many) - operations(function, few) < 50, function
    assert "XENOPSD_VM_BOUNDED" in {finding.rule for finding in verify_all(many)}


def described(words):
    """What xenopsd says of a VM, with so many words more."""
    return frames.vm_record(f"(({'word ' * words}) {frames.VM[1:]}")


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
