"""What values mean: against what real guests' own state says, and by synthetic states."""

import random
import struct
from itertools import pairwise
from pathlib import Path

import pytest

import xensave
from xensave.context import Context, ContextRecord
from xensave.records.meaning import bits
from xensave.records.meaning.cpu import area as xsave_area
from xensave.records.meaning.cpu.area import PLACES
from xensave.records.meaning.cpu.fxsave import x87_number
from xensave.records.meaning.cpu.xsave import COMPACT, COMPONENTS, components, unnamed
from xensave.records.meaning.explain import MEANINGS, meaning, parts
from xensave.records.meaning.params import param_name
from xensave.records.meaning.rows import ROWS
from xensave.records.stream import stream_layouts

EXAMPLES = Path(__file__).parents[2] / "examples"


def area(enabled, in_use, compact=0, size=11008):
    data = bytearray(random.Random(1).randbytes(size))
    data[512:576] = struct.pack("<QQ48x", in_use, compact)
    return bytes(data)


def test_components_stand_where_the_guests_cpuid_says():
    with xensave.open(EXAMPLES / "hvm1.img.zst") as image:
        leaves = {leaf.subleaf: leaf for leaf in image.cpuid_policy if leaf.leaf == 0xD}
    checked = 0
    for component in COMPONENTS:
        leaf = leaves.get(component.bit)
        if leaf is not None and leaf.a:
            assert (leaf.b, leaf.a) == (component.offset, component.layout.size)
            checked += 1
    assert checked == 2


def test_components_do_not_overlap_and_follow_the_manual():
    """Intel SDM volume 1, table 13-1: what processors report for each component."""
    assert {c.bit: c.layout.size for c in COMPONENTS} == {
        bit: size for bit, (_, size) in PLACES.items() if bit
    }
    places = {c.name: (c.bit, c.offset, c.layout.size) for c in COMPONENTS}
    assert places["AVX"] == (2, 576, 256)
    assert places["BNDREGS"] == (3, 960, 64)
    assert places["BNDCSR"] == (4, 1024, 64)
    assert places["opmask"] == (5, 1088, 64)
    assert places["ZMM_Hi256"] == (6, 1152, 512)
    assert places["Hi16_ZMM"] == (7, 1664, 1024)
    assert places["PKRU"] == (9, 2688, 8)
    ends = sorted((offset, offset + size) for _, offset, size in places.values())
    assert all(a[1] <= b[0] for a, b in pairwise(ends))


def test_the_masks_of_states_have_the_bits_that_xcr0_names():
    """Intel SDM volume 1, 13.1, and AMD APM volume 2, 11.5.2."""
    masks = {
        "FP_SSE": ["x87", "SSE"],
        "YMM": ["AVX"],
        "MPX": ["BNDREGS", "BNDCSR"],
        "AVX512": ["opmask", "ZMM_Hi256", "Hi16_ZMM"],
        "PKRU": ["PKRU"],
        "TILES": ["TILECFG", "TILEDATA"],
        "LWP": ["LWP"],
        "COMPACT": ["compact"],
    }
    for mask, names in masks.items():
        assert bits.bit_names(getattr(xsave_area, mask), bits.XCR0) == names


def test_avx512_in_the_standard_format():
    data = area(0x2E7, 0x0E7)
    states = {state.component.name: state for state in components(data, 0x2E7)}
    assert list(states) == ["x87+SSE", "AVX", "opmask", "ZMM_Hi256", "Hi16_ZMM", "PKRU"]
    assert not states["PKRU"].present
    assert states["Hi16_ZMM"].present
    assert states["opmask"].values["k"][7] == int.from_bytes(data[1144:1152], "little")
    zmm31 = states["Hi16_ZMM"].values["zmm"][15]["word"]
    assert zmm31 == list(struct.unpack("<8Q", data[2624:2688]))


def test_the_compacted_format_closes_the_gaps():
    mask = 1 << 2 | 1 << 9 | 1 << 17
    states = components(area(mask, mask, COMPACT | mask), mask | 3)
    assert [(s.component.name, s.offset) for s in states[1:]] == [
        ("AVX", 576),
        ("PKRU", 832),
        ("TILECFG", 896),
    ]


def test_an_area_that_is_too_short_has_fewer_components():
    assert components(bytes(575), 7) == []
    assert [s.component.name for s in components(bytes(576), 7)] == ["x87+SSE"]


def test_what_no_component_covers_is_found():
    data = bytearray(2720)
    data[900] = 1
    data[2700] = 2
    runs = unnamed(bytes(data), 0x7)
    assert [start for start, _ in runs] == [832]
    assert unnamed(bytes(2720), 0x7) == []


@pytest.mark.parametrize(
    ("significand", "exponent", "shown"),
    [
        (0x8000000000000000, 0x3FFF, "1"),
        (0x8000000000000000, 0xBFFF, "-1"),
        (0xA000000000000000, 0x4002, "10"),
        (0, 0x8000, "-0"),
        (0x8000000000000000, 0x7FFF, "infinity"),
        (0xC000000000000000, 0x7FFF, "NaN"),
        (0x4000000000000000, 0x3FFF, "unsupported"),
        (0xFFFFFFFFFFFFFFFF, 0x7FFE, "1.18973149535723177e+4932"),
        (1, 0, "3.6451995318824746e-4951"),
    ],
)
def test_x87_numbers(significand, exponent, shown):
    assert x87_number(significand, exponent) == shown


def test_every_bit_of_every_register_is_named_or_numbered():
    for name, table in vars(bits).items():
        if name.isupper() and isinstance(table, tuple):
            for bit in range(64):
                found = bits.bit_names(1 << bit, table)
                hidden = any(b.name == "-" and b.low <= bit < b.low + b.width for b in table)
                assert bool(found) != hidden, (name, bit)


def test_every_meaning_names_a_field_that_exists():
    """No key of the table is misspelt: each belongs to a layout of the catalogue or a stream."""
    from xensave import catalogue
    from xensave.records.meaning.cpu.fxsave import FXSAVE
    from xensave.records.meaning.interrupts import LAPIC_PAGE

    known = {layout.struct.upper(): [layout] for layout in stream_layouts()}
    known |= {"fxsave": [FXSAVE], "lapic_page": [LAPIC_PAGE]}
    for record, table in MEANINGS.items():
        layouts = known.get(record) or catalogue.layouts_of(record)
        paths = {path for layout in layouts for path in leaf_paths(layout.fields, "")}
        assert set(table) <= paths, record


def leaf_paths(fields, prefix):
    for field in fields:
        inner = prefix + field.name + ("." if field.name else "")
        yield from leaf_paths(field.fields, inner)
        if field.name and not field.fields:
            yield prefix + field.name


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_meanings_take_any_value(name):
    generator = random.Random(name)
    for path, say in MEANINGS[name].items():
        for value in [0, 1, 0xFF, (1 << 64) - 1, *(generator.getrandbits(64) for _ in range(50))]:
            for index in (0, 3, 47):
                assert isinstance(say(value, index), str), path
                assert isinstance(meaning(name, f"{path}[{index}]", value), str)


def test_rows_take_any_value():
    layouts = [*stream_layouts(), *(c.layout for c in COMPONENTS)]
    seen = set()
    for layout in layouts:
        for field in layout.fields:
            if field.type in ROWS:
                seen.add(field.type)
                fill = {
                    m.name: [2**64 - 1] * m.dims[0] if m.dims else 2 ** (8 * m.size) - 1
                    for m in field.fields
                }
                assert ROWS[field.type](fill).value
    assert {"struct msr", "struct leaf", "struct param", "struct trap", "struct xmm"} <= seen


def test_parts_of_short_records():
    for name, code in (("CPU", 2), ("LAPIC_REGS", 6), ("CPU_XSAVE", 16)):
        for length in (0, 8, 100, 600, 700):
            record = ContextRecord(code, 0, bytes(length), release="4.17")
            assert isinstance(parts(name, record.values), list)


def test_parts_of_a_real_guest():
    context = Context.parse((EXAMPLES / "pvh1.ctx").read_bytes(), "4.17")
    assert [part.name for part in parts("CPU_XSAVE", context["CPU_XSAVE"].values)] == [
        "x87+SSE",
        "PKRU",
    ]
    (fpu,) = parts("CPU", context["CPU"].values)
    assert fpu.values["mxcsr"] == 0x1FA0


def test_param_names():
    assert param_name(9) == "VIRIDIAN"
    assert param_name(999) == "param 999"
