"""Fields go where the codec says that the other layout has them."""

import pytest

from xensave import catalogue
from xensave.convert.records.fixups import DIFFERENT
from xensave.convert.records.moves import moves
from xensave.records.codec import decode

PAIRS = [
    (one.id, other.id)
    for record in catalogue.record_names()
    for one in catalogue.layouts_of(record)
    for other in catalogue.layouts_of(record)
]


def pattern(size):
    return bytes(1 + index % 251 for index in range(size))


def mask(layout, name):
    """sysenter_cs and its like had 32 bits until 3.4."""
    sizes = [field.size for field in layout.fields if field.name == name]
    return (1 << 8 * sizes[0]) - 1 if sizes else -1


@pytest.mark.parametrize(("source_id", "target_id"), PAIRS)
def test_namesakes_keep_their_values(source_id, target_id):
    source, target = catalogue.layout(source_id), catalogue.layout(target_id)
    body = pattern(source.size)
    found = moves(source, target)
    made = bytes(found.apply(body, target.size))
    old, new = decode(source, body), decode(target, made)
    for name in set(old) & set(new) - set(found.new):
        if isinstance(old[name], int):
            assert new[name] == old[name] & mask(target, name), name
        elif not isinstance(old[name], dict):
            assert new[name] == old[name], name
    homeless = {field.path for field in found.homeless}
    gone = {name for name in old if name not in new and not name.startswith(("_pad", "pad"))}
    renamed = {
        (a.name, b.name)
        for a in source.fields
        for b in target.fields
        if a.name in gone and (a.offset, a.size) == (b.offset, b.size)
    }
    assert gone <= homeless | {a for a, b in renamed if (a, b) not in DIFFERENT}


def test_new_fields_are_zero():
    found = moves(catalogue.layout("CPU.2"), catalogue.layout("CPU.4"))
    values = decode(catalogue.layout("CPU.4"), bytes(found.apply(pattern(1024), 1032)))
    assert found.new == ("flags", "pad0")
    assert (values["flags"], values["pad0"]) == (0, 0)


def test_a_padding_is_nobodys_new_name():
    found = moves(catalogue.layout("HEADER.2"), catalogue.layout("HEADER.1"))
    assert [field.path for field in found.homeless] == ["gtsc_khz"]


def test_a_vector_is_no_flag():
    down = moves(catalogue.layout("VIRIDIAN_VCPU.6"), catalogue.layout("VIRIDIAN_VCPU.2"))
    assert "apic_assist_pending" in [field.path for field in down.homeless]
