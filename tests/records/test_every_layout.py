"""Every layout of the catalogue and of the streams decodes, encodes and refuses what is cut."""

import pytest
from layouts import assert_layout
from test_columns import assert_columns

from xensave import catalogue
from xensave.records import stream
from xensave.records.meaning.fxsave import FXSAVE
from xensave.records.meaning.interrupts import LAPIC_PAGE
from xensave.records.meaning.xsave import COMPONENTS

LAYOUTS = [
    *(layout for name in catalogue.record_names() for layout in catalogue.layouts_of(name)),
    *stream.LAYOUTS.values(),
    stream.PV64,
    stream.PV32,
    FXSAVE,
    LAPIC_PAGE,
    *(component.layout for component in COMPONENTS),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_layout(layout):
    assert_layout(layout)
    grows = bool(layout.fields) and layout.fields[-1].dims[:1] == (0,)
    length = layout.size + (96 if grows else 0)
    body = bytes(index * 7 % 256 for index in range(length))
    assert_columns(layout, [body, body[::-1]])
    if grows:
        assert_layout(layout, body + b"tail")


def test_there_are_many():
    assert len(LAYOUTS) > 50
