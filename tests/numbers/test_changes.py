"""What differs between two layouts, as a person would say it."""

import pytest

from xensave.catalogue import layout
from xensave.catalogue.model import Field, Layout
from xensave.numbers.changes import changes, only_grown, same_wire


def made(*fields, size=16):
    return Layout("X", "X.1", "x", size, 8, tuple(fields))


A = Field("a", "uint64_t", 0, 8)
B = Field("b", "uint64_t", 8, 8)


@pytest.mark.parametrize(
    ("new", "texts", "grown", "same"),
    [
        (made(A, B), [], False, True),
        (made(A, B, Field("c", "uint64_t", 16, 8), size=24), ["c appended at 16, 8 bytes"], 1, 0),
        (made(A, Field("c", "uint64_t", 8, 8)), ["b renamed c at 8"], False, True),
        (made(A, size=8), ["b removed at 8, 8 bytes"], False, False),
        (
            made(
                Field("z", "uint64_t", 0, 8), A._replace(offset=8), B._replace(offset=16), size=24
            ),
            ["z added at 0, 8 bytes", "a moved from 0 to 8", "b moved from 8 to 16"],
            False,
            False,
        ),
        (
            made(A, Field("b", "uint32_t", 8, 4), Field("c", "uint32_t", 12, 4)),
            ["b resized at 8, 8 bytes to 4 bytes", "c added at 12, 4 bytes"],
            False,
            False,
        ),
        (
            made(A, Field("b", "uint64_t", 8, 8, bits=(0, 3))),
            ["b resized at 8, 8 bytes to 3 bits"],
            False,
            False,
        ),
    ],
)
def test_each_kind_of_change_is_named(new, texts, grown, same):
    old = made(A, B)
    assert [str(change) for change in changes(old, new)] == texts
    assert only_grown(old, new) == bool(grown)
    assert same_wire(old, new) == bool(same)


def test_members_of_structs_are_compared_where_they_lie():
    inner = Field("", "struct", 8, 8, fields=(Field("b", "uint64_t", 0, 8),))
    assert changes(made(A, B), made(A, inner)) == ()
    array = Field("b", "struct", 8, 8, (2,), fields=(Field("c", "uint32_t", 0, 4),))
    other = array._replace(fields=(Field("c", "uint16_t", 0, 2), Field("d", "uint16_t", 2, 2)))
    assert [str(c) for c in changes(made(A, array), made(A, other))] == ["b changed inside at 8"]


def test_two_names_for_one_place_are_both_reported():
    both = (Field("u", "uint64_t", 8, 8), Field("v", "uint64_t", 8, 8))
    union = Field("", "union", 0, 16, fields=both, union=True)
    found = [str(change) for change in changes(made(A, union), made(A, size=8))]
    assert found == ["u removed at 8, 8 bytes", "v removed at 8, 8 bytes"]


def test_real_layouts():
    assert only_grown(layout("LAPIC.2"), layout("LAPIC.3"))
    assert not only_grown(layout("CPU.1"), layout("CPU.2"))
    assert same_wire(layout("VIRIDIAN.1"), layout("VIRIDIAN_DOMAIN.1"))
