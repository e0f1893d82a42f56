"""A series is every point release of it: where they differ, each says which has what."""

import json

import pytest

from xensave.catalogue import release, release_names
from xensave.catalogue.dates import newest
from xensave.catalogue.points import points_of
from xensave.cli import main
from xensave.numbers.clash import find_clashes
from xensave.numbers.points import bound_in, ranges
from xensave.numbers.sources import claims_of
from xensave.toolstack.releases.compare import compare
from xensave.toolstack.releases.matrix import release_matrix


@pytest.mark.parametrize("series", release_names())
def test_every_point_release_has_what_its_tag_has(series):
    for record in {binding.name for binding in newest(series).bindings}:
        for bound in bound_in(record, series):
            for point in bound.points:
                assert release(point).binding(record) == bound.binding


def test_a_record_says_which_points_have_another_layout(capsys):
    main(["records", "LAPIC", "--release", "4.20", "--json"])
    points = json.loads(capsys.readouterr().out)["points"]
    assert [(each["releases"][0], each["size"]) for each in points] == [
        ("4.20.0", 24),
        ("4.20.1", 32),
    ]
    main(["records", "--release", "4.20"])
    assert "32 bytes in 4.20.1 - 4.20.4" in capsys.readouterr().out
    main(["records", "LAPIC", "--release", "4.20.1"])
    assert "24 bytes;" not in capsys.readouterr().out


def test_a_series_clashes_by_any_of_its_points():
    places = {clash.claims for clash in find_clashes([claims_of("4.20"), claims_of("4.19")])}
    assert places == {
        ("5 LAPIC, 24 bytes (4.20.0)", "5 LAPIC, 32 bytes (4.19.2 - 4.19.6)"),
        ("5 LAPIC, 32 bytes (4.20.1 - 4.20.4)", "5 LAPIC, 24 bytes (4.19.0 - 4.19.1)"),
    }


def test_compare_tells_what_came_within_a_series():
    within = [each for each in compare("4.19", "4.20") if each.kind == "point"]
    assert ("LAPIC", "from 4.20.1 on 24 to 32 bytes: pending_esr appended at 24, 4 bytes") in {
        (each.subject, each.text) for each in within
    }
    assert not [each for each in compare("4.20.0", "4.20.1") if each.kind == "point"]


def test_a_cell_of_the_matrix_is_the_worst_of_its_point_releases():
    table = release_matrix()
    at = table.columns.index
    row = next(row for row in table.rows if row.label == "4.20")
    assert row.verdicts[at("4.20")].accepted is False
    refused = {
        (split.saved[0], answer.span)
        for split in row.splits[at("4.20")]
        for answer in split.answers
        if not answer.verdict.accepted
    }
    assert refused == {("4.20.1", "4.20.0")}
    for each in table.rows:
        for column, splits in zip(table.columns, each.splits, strict=True):
            told = [point for split in splits for one in split.answers for point in one.points]
            assert set(told) in (set(), set(points_of(column)))


def test_ranges_end_where_a_point_release_is_missing():
    assert ranges(("4.17.1", "4.17.2", "4.17.4")) == "4.17.1 - 4.17.2, 4.17.4"
    assert ranges(("4.17.9", "4.17.10", "4.18.0")) == "4.17.9 - 4.17.10, 4.18.0"
