"""Decode and encode are each other's inverse, for any layout."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.layouts import assert_layout, layouts
from xensave.catalogue.model import Field, Layout
from xensave.errors import Truncated, UsageError
from xensave.records.codec import decode, encode, tail
from xensave.records.values import Values, get, integer, integers, octets, put, structs

EVENT = Layout(
    "EVENT",
    "EVENT.1",
    "event",
    16,
    4,
    (
        Field("", "union", 0, 4, fields=(
            Field("pending_event", "uint32_t", 0, 4),
            Field("", "struct", 0, 4, fields=(
                Field("pending_vector", "uint8_t", 0, 1, bits=(0, 8)),
                Field("pending_type", "uint8_t", 1, 1, bits=(0, 3)),
                Field("pending_valid", "uint8_t", 3, 1, bits=(7, 1)),
            )),
        ), union=True),
        Field("error_code", "int32_t", 4, 4),
        Field("route", "uint16_t", 8, 8, dims=(2, 2)),
    ),
)  # fmt: skip
BODY = bytes.fromhex("21030080ffffffff0100020003000400")

MSR = Layout(
    "CPU_MSR",
    "CPU_MSR.1",
    "hvm_msr",
    8,
    8,
    (
        Field("count", "uint32_t", 0, 4),
        Field("msr", "struct hvm_one_msr", 8, 0, dims=(0,), fields=(
            Field("index", "uint32_t", 0, 4),
            Field("_rsvd", "uint32_t", 4, 4),
            Field("val", "uint64_t", 8, 8),
        )),
    ),
    flexible=True,
)  # fmt: skip


def test_values_of_a_struct():
    assert decode(EVENT, BODY) == {
        "pending_event": 0x80000321,
        "pending_vector": 0x21,
        "pending_type": 3,
        "pending_valid": 1,
        "error_code": -1,
        "route": [[1, 2], [3, 4]],
    }


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("pending_event", 5, "05000000"),
        ("pending_vector", 0xFE, "fe030080"),
        ("pending_type", 4, "21040080"),
        ("pending_valid", 0, "21030000"),
    ],
)
def test_one_member_of_a_union_is_changed_by_name(path, value, wanted):
    values = decode(EVENT, BODY)
    put(values, path, value)
    assert encode(EVENT, values)[:4].hex() == wanted
    assert encode(EVENT, values)[4:] == BODY[4:]


def test_two_members_of_a_union_that_disagree_are_refused():
    values = decode(EVENT, BODY)
    values["pending_event"] = 5
    values["pending_vector"] = 6
    with pytest.raises(UsageError, match="union"):
        encode(EVENT, values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pending_event", 1 << 32),
        ("pending_event", -1),
        ("pending_event", "1"),
        ("pending_type", 8),
        ("error_code", 1 << 31),
        ("route", [[1, 2]]),
        ("route", 1),
        ("route[1][0]", 0x10000),
    ],
)
def test_a_value_that_does_not_fit_is_refused(path, value):
    values = decode(EVENT, BODY).copy()
    put(values, path, value)
    with pytest.raises(UsageError, match=path.split("[")[0]):
        encode(EVENT, values)


def test_an_unknown_field_is_refused():
    with pytest.raises(UsageError, match="colour"):
        encode(EVENT, {"colour": 1})


def test_fields_left_out_are_zero_or_stay():
    assert encode(EVENT, {"error_code": 1}) == bytes(4) + b"\1" + bytes(11)
    assert encode(EVENT, Values({"error_code": 1}, BODY)) == BODY[:4] + b"\1\0\0\0" + BODY[8:]


def test_a_truncated_body_names_the_field_that_is_cut():
    with pytest.raises(Truncated) as cut:
        decode(EVENT, BODY[:13])
    assert cut.value.path == "route[1][0]"
    with pytest.raises(Truncated) as cut:
        decode(EVENT, b"")
    assert cut.value.path == "pending_event"


def test_a_field_beyond_a_short_body_lengthens_it():
    values = decode(EVENT, BODY[:6], zeroextend=True)
    values["pending_type"] = 1
    assert encode(EVENT, values) == bytes.fromhex("21010080ffff")
    values["error_code"] = 2
    values["route"] = [[0, 0], [0, 9]]
    assert encode(EVENT, values) == bytes.fromhex("2101008002000000") + bytes(6) + b"\x09\0"


def test_flexible_array_keeps_its_tail():
    body = bytes([1, 0, 0, 0, 9, 9, 9, 9]) + bytes(range(32)) + b"abc"
    values = decode(MSR, body)
    assert [entry["index"] for entry in structs(values, "msr")] == [0x03020100, 0x13121110]
    assert tail(MSR, body) == b"abc"
    assert encode(MSR, values) == body


def test_flexible_array_grows_and_shrinks():
    body = bytes(8) + bytes(range(32)) + b"abc"
    values = decode(MSR, body)
    entries = structs(values, "msr")
    values["msr"] = entries[:1]
    assert encode(MSR, values) == body[:24] + b"abc"
    values["msr"] = [*entries, {"index": 1, "_rsvd": 0, "val": 2}]
    assert encode(MSR, values) == body[:40] + b"\1" + bytes(7) + b"\2" + bytes(7) + b"abc"


def test_paths():
    values = decode(EVENT, BODY)
    assert get(values, "route[1][0]") == 3
    assert integer(values, "error_code") == -1
    for path in ("route[2][0]", "", "route[", "route..x", "[0]", "error_code.x"):
        with pytest.raises(UsageError):
            get(values, path)
    with pytest.raises(UsageError):
        octets(values, "error_code")
    with pytest.raises(UsageError):
        integers(values, "route")


def test_known_layouts():
    assert_layout(EVENT)
    assert_layout(EVENT, BODY)
    assert_layout(MSR)
    assert_layout(MSR, bytes(range(8 + 48)))


@settings(max_examples=150)
@given(st.data())
def test_any_layout(data):
    layout = data.draw(layouts())
    assert_layout(layout, data.draw(st.binary(min_size=layout.size, max_size=layout.size)))
