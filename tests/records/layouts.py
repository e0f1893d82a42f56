"""What every layout must do, said once, and random layouts to say it of."""

import random

import pytest
from hypothesis import strategies as st

from xensave.catalogue.model import Field, Layout
from xensave.errors import Truncated
from xensave.records.codec import decode, encode, tail


def assert_layout(layout: Layout, body: bytes | None = None) -> None:
    """Decode, encode, size, and every truncated prefix, of any layout."""
    body = random.Random(layout.id).randbytes(layout.size) if body is None else body
    values = decode(layout, body)
    assert list(values) == names(layout.fields)
    assert encode(layout, values) == body
    assert decode(layout, encode(layout, dict(values))) == values
    assert values == decode(layout, body + b"tail") or layout.flexible
    if not layout.flexible:
        assert tail(layout, body + b"tail") == body[layout.size :] + b"tail"
        assert encode(layout, decode(layout, body + b"tail")) == body + b"tail"
    for length in range(layout.size):
        with pytest.raises(Truncated) as cut:
            decode(layout, body[:length], offset=0x40)
        assert (cut.value.wanted, cut.value.got) == (layout.size, length)
        assert cut.value.offset == 0x40
        assert cut.value.record == layout.record
        short = decode(layout, body[:length], zeroextend=True)
        filled = body[:length].ljust(layout.size, b"\0")
        assert short == decode(layout, filled)
        assert encode(layout, short) == body[:length]


def names(fields):
    found = []
    for field in fields:
        if field.name:
            found.append(field.name)
        else:
            found += names(field.fields)
    return found


INTEGERS = {"uint8_t": 1, "uint16_t": 2, "int32_t": 4, "uint64_t": 8, "int8_t": 1}


@st.composite
def structs(draw, depth=2):
    """Draw (fields, size) of a packed struct."""
    fields, at = [], 0
    for index in range(draw(st.integers(1, 5))):
        field = draw(members(f"f{depth}_{index}", depth))
        fields.append(field._replace(offset=at))
        at += field.size + draw(st.sampled_from([0, 0, 0, 3]))
    return tuple(fields), at


@st.composite
def members(draw, name, depth):
    kind = draw(st.sampled_from(["int", "int", "bits", "array", "struct", "union"]))
    dims = tuple(draw(st.lists(st.integers(1, 3), max_size=2))) if kind == "array" else ()
    count = 1
    for dim in dims:
        count *= dim
    if kind in ("struct", "union") and depth:
        inner, size = draw(structs(depth=depth - 1))
        if kind == "union":
            inner = tuple(member._replace(offset=0) for member in inner)
            size = max(member.size for member in inner)
        return Field(name, kind, 0, size, (), None, inner, kind == "union")
    type_, size = draw(st.sampled_from(sorted(INTEGERS.items())))
    if kind == "bits" and type_.startswith("u"):
        shift = draw(st.integers(0, size * 8 - 1))
        width = draw(st.integers(1, size * 8 - shift))
        return Field(name, type_, 0, size, (), (shift, width))
    return Field(name, type_, 0, size * count, dims)


@st.composite
def layouts(draw):
    fields, size = draw(structs())
    return Layout("RANDOM", "RANDOM.1", "random", size, 1, fields)
