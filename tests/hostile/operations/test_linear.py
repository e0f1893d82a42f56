"""Work grows with the input and no faster: calls are counted, not seconds."""

import pytest

from tests.hostile.operations.inputs import (
    EXAMPLES,
    checkpoints,
    differences,
    empty_pv_vcpus,
    empty_records,
    empty_vcpus,
    emulators,
    faulty_records,
    pages,
    policies,
    pv_vcpus,
    traps,
    vcpus,
    xenstore,
)
from tests.hostile.operations.work import (
    FACTOR,
    WORK,
    convert,
    decode,
    encode,
    json_all,
    judge_all,
    load,
    memory_all,
    operations,
    report,
    show,
    show_all,
    verify_all,
)
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import (
    PAIR,
    PARAM,
)
from xensave.testing import streams


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


@pytest.mark.parametrize(
    ("function", "most"),
    [(show_all, 55), (json_all, 30), (report, 50), (decode, 85), (encode, 95)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_entry_of_a_table_costs_few_calls(function, most):
    """A small image can hold many tables: an entry that costs hundreds of calls takes long."""
    assert operations(function, traps(9)) - operations(function, traps(1)) <= most * 8 * 256


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
