"""HVM contexts: read, indexed, changed and written, byte for byte."""

import copy
import pickle
import random
import struct
from pathlib import Path

import pytest

import xensave
from xensave.context import AbsentRecord, Context, ContextRecord
from xensave.errors import Truncated, UsageError, XensaveError

DATA = Path(__file__).parents[1] / "data" / "contexts"
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "contexts"
EXAMPLES = Path(__file__).parents[2] / "examples"
REAL = [
    *sorted(DATA.glob("*.ctx")),
    *sorted(SHARED.glob("*.ctx")),
    *sorted(EXAMPLES.glob("*.ctx")),
]


@pytest.fixture(scope="module")
def pvh():
    return (EXAMPLES / "pvh1.ctx").read_bytes()


@pytest.fixture(scope="module")
def hvm():
    return (EXAMPLES / "hvm1.ctx").read_bytes()


@pytest.mark.parametrize("release", [None, "4.17"])
@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_real_contexts_round_trip(path, release):
    data = path.read_bytes()
    context = Context.parse(data, release)
    assert context.to_bytes() == data
    assert context.with_records(context.records).to_bytes() == data
    for record in context:
        assert record.layout is not None
        assert record.replace(**record.values) == record
        assert data[record.offset :].startswith(record.to_bytes())


def test_records_by_name_number_and_instance(hvm):
    context = Context.parse(hvm, "4.17")
    assert context["PIC", 1].instance == 1
    assert context["PIC"] is context["PIC", 0] is context[3, 0] is context[3]
    assert [record.label for record in context.all("PIC")] == ["PIC[0]", "PIC[1]"]
    assert "PIC" in context
    assert ("PIC", 2) not in context
    assert context.vcpus == 1
    assert len(context) == 20


def test_absent_record(hvm):
    context = Context.parse(hvm)
    for key in (("CPU", 1), "CPU_MSR", 22, (2, 5)):
        with pytest.raises(KeyError) as caught:
            context[key]
        assert isinstance(caught.value, XensaveError)
        assert isinstance(caught.value, AbsentRecord)
    assert str(caught.value) == "offset 0x0: the context holds no type 2[5]"


def test_values_of_a_real_guest(pvh):
    cpu = Context.parse(pvh, "4.17")["CPU", 0]
    assert cpu.rip == cpu["rip"] == cpu.integer("rip") == 0xFFFFFFFF810934CA
    assert cpu.name == "CPU"
    assert len(cpu.octets("fpu_regs")) == 512
    with pytest.raises(AttributeError, match="no field 'ripp'"):
        _ = cpu.ripp


def test_a_field_replaced_changes_its_bytes_alone(hvm):
    context = Context.parse(hvm, "4.17")
    changed = context.replace("MTRR", 0, msr_pat_cr=0x0102030405060708)
    start = context["MTRR"].offset + 8
    assert changed.to_bytes() == hvm[:start] + bytes(range(8, 0, -1)) + hvm[start + 8 :]
    assert context.to_bytes() == hvm
    with pytest.raises(UsageError):
        context.replace("CPU", 0, ripp=1)
    with pytest.raises(UsageError):
        context.replace("CPU", 0, rip=1 << 64)
    with pytest.raises(AbsentRecord):
        context.replace("CPU", 1, rip=0)


def test_unknown_types_and_what_follows_end_are_kept(pvh):
    unknown = struct.pack("<HHI", 0xB00, 3, 5) + b"abcde"
    data = pvh[:-8] + unknown + pvh[-8:] + b"after the end"
    context = Context.parse(data, "4.17", offset=0x100)
    assert context.to_bytes() == data
    assert context.tail == b"after the end"
    record = context[0xB00, 3]
    assert (record.name, record.layout, record.values) == ("type 2816", None, {})
    assert record.tail == record.body == b"abcde"
    assert record.offset == 0x100 + len(pvh) - 8
    with pytest.raises(UsageError, match="no known layout"):
        record.replace(x=1)


def test_every_truncation_names_its_place(hvm):
    ends = {record.offset for record in Context.parse(hvm)} | {len(hvm)}
    for length in range(len(hvm)):
        with pytest.raises(Truncated) as cut:
            Context.parse(hvm[:length], "4.17", offset=0x1000)
        error = cut.value
        assert error.offset is not None
        assert error.offset - 0x1000 == max(end for end in ends if end <= length)
        assert error.record
        assert error.wanted > error.got
    with pytest.raises(Truncated, match="or END"):
        Context.parse(hvm[:-8])


def test_a_short_record_counts_as_filled_with_zeros():
    record = ContextRecord(5, 0, struct.pack("<QI", 0xFEE00900, 2), release="4.17")
    assert record.apic_base_msr == 0xFEE00900
    assert record.tdt_msr == 0
    assert record.replace(disabled=1).length == 12


def test_layouts_follow_the_release():
    body = bytes(range(32))
    assert ContextRecord(5, 0, body, release="4.21").layout.size == 32
    assert ContextRecord(5, 0, body).layout.size == 32
    assert ContextRecord(5, 0, body[:24], release="4.17").layout.size == 24
    assert ContextRecord(5, 0, body[:24]).layout.size == 24


def test_random_bytes_never_raise_anything_else():
    generator = random.Random(2)
    seed = bytearray((EXAMPLES / "hvm1.ctx").read_bytes())
    for _ in range(300):
        data = bytearray(seed)
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            context = Context.parse(bytes(data))
        except XensaveError:
            continue
        assert context.to_bytes() == data
        for record in context:
            assert record.layout is None or record.replace(**record.values) == record


def test_copies_are_equal(hvm):
    context = Context.parse(hvm, "4.17")
    for made in (copy.deepcopy(context), pickle.loads(pickle.dumps(context))):
        assert made.to_bytes() == hvm
        assert made["CPU"] == context["CPU"]
        assert made["CPU"].rip == context["CPU"].rip
    assert context["VIRIDIAN_VCPU"]._pad == bytes(7)


def test_exported():
    assert xensave.Context is Context
