"""Columns hold what decoding one by one gives."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.layouts import layouts
from tests.records.test_codec import BODY, EVENT, MSR
from xensave.context import Context
from xensave.context_columns import context_columns
from xensave.errors import Truncated, UsageError
from xensave.records.codec import decode
from xensave.records.columns import columns

EXAMPLES = Path(__file__).parents[2] / "examples"


def flatten(values, prefix=""):
    """{path: nested list} of decoded values, as columns name them."""
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows = [flatten(item, f"{prefix}{name}.") for item in value]
            found |= {path: [row[path] for row in rows] for path in rows[0]}
        else:
            found[prefix + name] = plain(value)
    return found


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return list(value) if isinstance(value, bytes) else value


def assert_columns(layout, bodies):
    found = columns(layout, bodies)
    for row, body in enumerate(bodies):
        assert {path: column[row].tolist() for path, column in found.items()} == flatten(
            decode(layout, body)
        )


@settings(max_examples=100)
@given(st.data())
def test_any_layout(data):
    layout = data.draw(layouts())
    body = st.binary(min_size=layout.size + 2, max_size=layout.size + 2)
    assert_columns(layout, data.draw(st.lists(body, min_size=1, max_size=3)))


def test_known_layouts():
    assert_columns(EVENT, [BODY, BODY[::-1]])
    assert_columns(MSR, [bytes(range(40)), bytes(range(40, 80))])


def test_refusals():
    with pytest.raises(UsageError):
        columns(EVENT, [])
    with pytest.raises(UsageError):
        columns(EVENT, [BODY, BODY + b"x"])
    with pytest.raises(Truncated):
        columns(EVENT, [BODY[:-1]])


def test_real_contexts():
    pvh = (EXAMPLES / "pvh1.ctx").read_bytes()
    hvm = (EXAMPLES / "hvm1.ctx").read_bytes()
    moved = bytearray(pvh)
    generator = random.Random(1)
    for at in range(40, 40 + 1032):
        moved[at] = generator.randrange(256)
    groups = context_columns([pvh, hvm, bytes(moved), hvm], "4.17")
    assert [group.indices for group in groups] == [[0, 2], [1, 3]]
    for group, data in ((groups[0], moved), (groups[1], hvm)):
        context = Context.parse(bytes(data), "4.17")
        row = {path: column[1].tolist() for path, column in group.columns.items()}
        wanted = {
            f"{record.label}.{path}": value
            for record in context
            for path, value in flatten(record.values).items()
        }
        assert row == wanted


def test_shapes_of_one_length():
    pvh = (EXAMPLES / "pvh1.ctx").read_bytes()
    other = bytearray(pvh)
    other[2] = 1
    groups = context_columns([bytes(pvh), bytes(other), bytes(pvh), bytes(other)])
    assert [group.indices for group in groups] == [[0, 2], [1, 3]]
    assert "HEADER[1].magic" in groups[1].columns


def test_cut_contexts():
    pvh = (EXAMPLES / "pvh1.ctx").read_bytes()
    for length in (0, 4, 20, 31, 40, len(pvh) - 8, len(pvh) - 1):
        with pytest.raises(Truncated):
            context_columns([pvh[:length]])


def test_a_release_that_lacks_a_record():
    # Xen 3.2 has no CPU_XSAVE, VMCE_VCPU or TSC_ADJUST: each keeps a name of its own.
    pvh = (EXAMPLES / "pvh1.ctx").read_bytes()
    (group,) = context_columns([pvh], release="3.2")
    names = {path.partition("[")[0] for path in group.columns}
    assert {"CPU_XSAVE", "VMCE_VCPU", "TSC_ADJUST"} <= names
    context = Context.parse(pvh, "3.2")
    assert names == {record.name for record in context if record.layout and record.layout.fields}
