"""Every layout of the catalogue and of the streams decodes, encodes and refuses what is cut."""

import pytest

from tests.records.layouts import assert_layout
from tests.records.test_columns import assert_columns
from xensave import catalogue
from xensave.records.meaning.cpu.fxsave import FXSAVE
from xensave.records.meaning.cpu.xsave import COMPONENTS
from xensave.records.meaning.interrupts import LAPIC_PAGE
from xensave.records.stream import stream_layout, stream_layouts

LAYOUTS = [
    *(layout for name in catalogue.record_names() for layout in catalogue.layouts_of(name)),
    *stream_layouts(),
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


def test_pv_contexts_have_the_size_that_xen_gives_them():
    """sizeof(struct vcpu_guest_context) is 5168 on x86-64 and 2800 on 32-bit x86."""
    sizes = {layout.id: layout.size for layout in stream_layouts()}
    assert sizes["x86_pv_vcpu_basic_64"] == 8 + 5168
    assert sizes["x86_pv_vcpu_basic_32"] == 8 + 2800
    assert stream_layout("X86_PV_VCPU_BASIC", 8 + 5168).id == "x86_pv_vcpu_basic_64"
    assert stream_layout("X86_PV_VCPU_BASIC", 8 + 2800).id == "x86_pv_vcpu_basic_32"
