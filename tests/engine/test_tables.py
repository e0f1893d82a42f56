"""The docs' tables of rules are what the code says."""

import pytest

from tests.engine.tables import PAGES, POLICY, parts
from xensave.catalogue.dates import series_numbers
from xensave.engine.handlers import table as handlers
from xensave.engine.pv import judge


@pytest.mark.parametrize(("page", "mark"), list(PAGES))
def test_the_page_has_the_table_of_the_code(page, mark):
    assert parts(page, mark)[1] == PAGES[page, mark](), (
        "stale: python -m tests.engine.tables, then review it"
    )


def test_a_date_names_a_point_release_of_each_series_but_the_last():
    for rule in (*handlers.RULES, *handlers.DATED):
        for dates in (rule.since, rule.until):
            numbers = [series_numbers(date) for date in dates]
            assert numbers == sorted(numbers)
            assert len({number[:2] for number in numbers}) == len(numbers)


@pytest.mark.parametrize("row", [*POLICY, *judge.RULES, *judge.DATED], ids=lambda row: row.id)
def test_dates_ascend_and_a_commit_has_a_subject(row):
    for dates in (row.since, row.until):
        numbers = [series_numbers(date) for date in dates]
        assert numbers == sorted(numbers)
        assert len({number[:2] for number in numbers}) == len(numbers)
    assert bool(row.cite.commit) == bool(row.cite.subject) == bool(row.cite.release)
