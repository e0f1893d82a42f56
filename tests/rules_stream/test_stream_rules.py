"""Each rule of the table has a stream that breaks it, and only such streams report it."""

import struct

import pytest

from tests.rules_stream import builders as b
from tests.rules_stream.broken import C_END, CASES, CHECKPOINT, pfn, rec, state
from xensave.container.frames import xl
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PageData
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream import run, table, verify
from xensave.rules.stream.formats import hvm
from xensave.rules.stream.table import checks, rules
from xensave.source import MemorySource
from xensave.testing import frames, legacy

SEVERITY = {rule.id: rule.severity for rule in rules()}


def faults(data, **options):
    return list(verify(MemorySource(data), **options))


def test_every_rule_has_a_case():
    assert list(dict.fromkeys(CASES)) == list(CASES)
    listed = {rule.id for rule in rules()}
    assert listed - set(CASES) == set(), (
        "give each of these rules a stream that breaks it, in CASES"
    )
    assert set(CASES) - listed == set(), "no check lists these rules: take out their cases"


def test_rules_are_told_apart():
    assert len({rule.id for rule in rules()}) == len(rules())
    assert len({rule.sentence for rule in rules()}) == len(rules())
    assert {rule.severity for rule in rules()} == {ERROR, WARNING, NOTE}


@pytest.mark.parametrize("rule", [rule for rule in CASES if CASES[rule] is not None])
def test_a_broken_rule_is_found(rule):
    findings = [finding for finding in faults(CASES[rule]) if finding.rule == rule]
    assert findings, f"{rule} not found"
    for finding in findings:
        assert finding.severity == SEVERITY[rule]
        assert 0 <= finding.place.offset <= len(CASES[rule])
        assert rule in ("STREAM_WELL_FORMED",) or finding.place.record


# Where one injury cannot but break other rules as well.
ALSO = {
    "LIBXL_LIBXC_CONTEXT_ONCE": {"LIBXC_STATIC_DATA_END_ONCE", "LIBXC_HVM_PARAMS_BEFORE_CONTEXT"},
    "LIBXC_RECORD_LENGTH_BOUNDED": {"LIBXC_RECORD_OPTIONAL_KNOWN", "STREAM_COMPLETE"},
    "LIBXC_PADDING_ZERO": {"LIBXC_RECORD_OPTIONAL_KNOWN"},
    "LIBXC_DIRTY_PFN_LIST_LENGTH": {"LIBXC_DIRTY_PFN_LIST_BACKWARD"},
    "LIBXL_END_OUTSIDE_CHECKPOINT": {
        "LIBXC_CHECKPOINT_ABSENT",
        "LIBXL_EMULATOR_CONTEXT_PRESENT",
    },
    "LIBXL_PADDING_ZERO": {"LIBXL_EMULATOR_STATE_QEMU"},
    "LIBXL_RECORD_FITS_RELEASE": {"LIBXL_CHECKPOINT_STATE_EXPECTED"},
    "LIBXC_RECORD_FITS_RELEASE": {"LIBXC_DIRTY_PFN_LIST_BACKWARD"},
    "LIBXL_CHECKPOINT_STATE_LENGTH": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_CHECKPOINT_STATE_KNOWN": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_CHECKPOINT_STATE_PADDING_ZERO": {"LIBXC_CHECKPOINT_ABSENT"},
    "LIBXL_XENSTORE_KEY_RELATIVE": {"LIBXL_XENSTORE_KEY_CHARACTERS"},
    "LIBXC_PAGE_SIZE_4096": {"LIBXC_PAGE_SHIFT_12"},
    "LIBXC_RECORD_LENGTH_8_MIB": {"LIBXC_MARKER_EMPTY"},
    "LIBXC_STATIC_DATA_END_BEFORE_MEMORY": {"LIBXC_STATIC_DATA_END_FIRST"},
    "LIBXC_PAGE_DATA_COUNT_BOUNDED": {"LIBXC_RECORD_LENGTH_8_MIB"},
    "HVM_CONTEXT_BOUNDED": {"LIBXC_RECORD_LENGTH_8_MIB"},
    "LIBXC_PAGE_TYPE_KNOWN": {"LIBXC_PAGE_DATA_LENGTH"},
}


@pytest.mark.parametrize("rule", [rule for rule in CASES if CASES[rule] is not None])
def test_a_broken_rule_breaks_no_other(rule):
    others = {finding.rule for finding in faults(CASES[rule])} - {rule}
    if rule.startswith(("LIBVIRT", "XENOPSD")):
        # The builders of frames put params where Xen itself does.
        others -= {"LIBXC_HVM_PARAMS_BEFORE_CONTEXT", "LIBXC_STATIC_DATA_END_ONCE"}
    assert others <= ALSO.get(rule, set())


@pytest.mark.parametrize(
    "data",
    [
        b.hvm_stream(),
        b.hvm_stream(before=b"", version=2),
        b.pv_stream(),
        b.libxl_stream(),
        b.libxl_stream(None, b.xenstore(b"key\0value\0")),
        b.xl_image(),
        b.raw_context(),
        frames.libvirt_file(b.libxl_stream()),
        frames.libvirt_file(legacy.hvm_stream(), version=1),
        frames.suspend_image(b.hvm_stream()),
        frames.xend_file(legacy.hvm_stream(4)),
        frames.suspend_image(b.hvm_stream()) + b"what the disk held before",
        frames.legacy_suspend_image(legacy.hvm_stream(4, tail=legacy.hvm_tail(device_model=b""))),
        frames.legacy_suspend_image(legacy.pv_stream(4, 4), b""),
        *(legacy.hvm_stream(width) for width in (4, 8)),
        *(legacy.pv_stream(width, guest) for width, guest in ((8, 8), (8, 4), (4, 4))),
        b.xl_image(mandatory_flags=1, stream=legacy.hvm_stream()),
        b.hvm_stream(rec(libxc.VERIFY), b.pages(), b.pages((2, 0xF << 60 | 3))),
        b.libxl_stream(b.hvm_stream(b.PARAMS, CHECKPOINT, b.emulator(), C_END, b.pages())),
        state(),
        state(bytes(8)),
    ],
)
def test_nothing_is_found_in_valid_streams(data):
    """But for checkpoints: a note tells that a plain restore takes none."""
    assert [finding for finding in faults(data) if finding.rule != "LIBXC_CHECKPOINT_ABSENT"] == []


def test_it_goes_on_after_findings():
    stream = b.hvm_stream(
        rec(0x7FFF0013), rec(0x80000001, b"1", b"\1" * 7), memory=b.pages(()), domain_reserved=3
    )
    assert [finding.rule for finding in faults(stream)] == [
        "LIBXC_DOMAIN_RESERVED_ZERO",
        "LIBXC_PAGE_DATA_COUNT_POSITIVE",
        "LIBXC_RECORD_MANDATORY_KNOWN",
        "LIBXC_RECORD_OPTIONAL_KNOWN",
        "LIBXC_PADDING_ZERO",
    ]


def test_findings_say_where():
    stream = pfn(1 << 52)
    (finding,) = faults(stream)
    at = finding.place.offset
    assert stream[at : at + 8] == (1 << 52).to_bytes(8, "little")
    assert finding.place.record == "libxc PAGE_DATA"
    assert "pfn[2]" in finding.message


@pytest.mark.parametrize("type_", range(16))
def test_page_types_with_and_without_data(type_):
    """XEN_DOMCTL_PFINFO_*: 0 - 4 and 9 - 12 have data, 13 - 15 have none, 5 - 8 are reserved."""
    word = type_ << 60 | 5
    with_data = {f.rule for f in faults(b.hvm_stream(memory=b.pages((word,), bytes(4096))))}
    without = {f.rule for f in faults(b.hvm_stream(memory=b.pages((word,), b"")))}
    if type_ in (5, 6, 7, 8):
        assert "LIBXC_PAGE_TYPE_KNOWN" in with_data & without
    else:
        dataless = type_ >= 13
        assert ("LIBXC_PAGE_DATA_LENGTH" in with_data) == dataless
        assert ("LIBXC_PAGE_DATA_LENGTH" in without) == (not dataless)


def test_limits_are_findings():
    (finding,) = verify(MemorySource(b.hvm_stream(), max_size=100))
    assert finding.rule == "STREAM_WITHIN_LIMITS"


def test_a_check_may_only_report_what_its_row_lists(monkeypatch):
    (row,) = [check for check in checks() if check.function is hvm.tsc_info]
    shortened = row._replace(rules=tuple(rule for rule in row.rules if rule is not hvm.TSC_MODE))

    def checks_of(layer):
        return tuple(shortened if check is row else check for check in table.checks_of(layer))

    monkeypatch.setattr(run, "checks_of", checks_of)
    with pytest.raises(AssertionError, match="LIBXC_TSC_INFO_MODE_KNOWN"):
        faults(CASES["LIBXC_TSC_INFO_MODE_KNOWN"])


def test_every_reader_of_a_rule_is_one_that_there_is():
    for rule in rules():
        for reader in rule.readers:
            assert reader.layer in ("libvirt", "xenopsd", "xl", "libxl", "libxc")
            assert reader.cite.function


def test_every_check_has_rules():
    assert all(check.rules for check in checks())
    assert xl.KNOWN_FLAGS == 3


def test_a_count_that_lies_allocates_nothing():
    import tracemalloc

    body = struct.pack("<II", 0xFFFFFFFF, 0) + PageData((1,)).to_bytes()
    tracemalloc.start()
    rules = {f.rule for f in faults(b.hvm_stream(memory=rec(libxc.PAGE_DATA, body)))}
    assert "LIBXC_PAGE_DATA_PFNS_FIT" in rules
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
