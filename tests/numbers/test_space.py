"""The number space of a release, number by number."""

import pytest

from xensave.catalogue import newest_series, release, release_names
from xensave.catalogue.registry import parse_registry, shipped_registry
from xensave.numbers.history import history, names_over_time
from xensave.numbers.space import FREE, RESERVED, USED, folded, rows


@pytest.mark.parametrize("name", release_names())
def test_used_rows_are_the_releases_bindings(name):
    used = {row.number: row for row in rows(name) if row.state == USED}
    assert {(b.typecode, b.name, b.size, b.kind) for b in release(name).bindings} == {
        (row.number, row.name, row.size, row.kind) for row in used.values()
    }
    assert {row.owner for row in used.values()} == {"Xen"}


def test_each_low_number_has_one_row():
    for name in release_names():
        numbers = [row.number for row in rows(name, [shipped_registry("amazon")])]
        assert numbers == list(range(35))


def test_states_of_today():
    table = {row.number: row for row in rows("4.17", [shipped_registry("amazon")])}
    assert table[21].state == FREE
    assert {table[n].state for n in range(22, 35)} == {RESERVED}
    assert {(table[n].owner, table[n].source) for n in range(22, 35)} == {("Amazon", "headers")}
    assert table[22].note == "in use downstream"


def test_before_the_reservation_the_registry_speaks():
    table = {row.number: row for row in rows("4.13", [shipped_registry("amazon")])}
    assert (table[22].state, table[22].source) == (RESERVED, "registry amazon")
    assert rows("4.13")[-1].number == 20


def test_what_comes_later_is_noted():
    table = {row.number: row for row in rows("3.1")}
    assert (table[14].state, table[14].note) == (FREE, "MTRR from 3.2")


def test_high_numbers_of_a_registry_do_not_fill_the_space_between():
    acme = parse_registry('owner="Acme"\n[[numbers]]\nfirst=0x4100\nlast=0x4101', "a")
    assert [row.number for row in rows("4.17", [acme])][-3:] == [34, 0x4100, 0x4101]


def test_runs_are_folded_and_used_numbers_are_not():
    runs = [(row.number, last) for last, row in folded(rows("4.17"))]
    assert runs == [*((n, n) for n in range(22)), (22, 34)]


def test_the_newest_release_is_no_branch():
    assert newest_series() == release_names()[-2]


def test_history_covers_every_release_once():
    for name in {b.name for r in release_names() for b in release(r).bindings}:
        saved = [r for version in history(name) for r in version.releases]
        assert sorted(saved) == sorted(r for r in release_names() if release(r).binding(name))


def test_a_converted_layout_is_no_step_of_the_history():
    versions = {version.layout.id: version for version in history("CPU")}
    assert versions["CPU.3"].releases == ()
    assert versions["CPU.3"].converted_by
    assert versions["CPU.4"].since == "CPU.2"
    assert [str(change) for change in versions["CPU.4"].changes] == [
        "flags appended at 1024, 4 bytes",
        "pad0 appended at 1028, 4 bytes",
    ]


def test_a_number_keeps_its_names():
    assert names_over_time(18) == [("VMCE_VCPU", "4.2", "master")]
