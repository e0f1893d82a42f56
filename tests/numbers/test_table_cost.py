"""What a maximum costs: the numbers that the reviewers of 2019 asked for."""

import pytest

from xensave.catalogue import release, release_names
from xensave.errors import UsageError
from xensave.numbers.cost import cost


def test_the_patch_of_2019():
    found = cost("4.13", 40)
    assert (found.bytes_more, found.iterations_more) == (800, 20)
    assert (found.today.entries, found.today.size) == (21, 840)
    assert (found.proposed.entries, found.proposed.size) == (41, 1640)
    # END and HEADER have no handler.
    assert (found.sparse.entries, found.sparse.size) == (19, 760)


def test_a_check_handler_made_entries_larger():
    assert cost("4.19", 40).bytes_more == 20 * 48


@pytest.mark.parametrize("name", release_names())
def test_todays_maximum_costs_nothing(name):
    found = cost(name, release(name).code_max)
    assert (found.bytes_more, found.iterations_more) == (0, 0)


def test_a_high_number_in_a_dense_table():
    found = cost("4.17", 0x4100)
    assert found.proposed.size == 0x4101 * 40


@pytest.mark.parametrize(
    ("name", "maximum", "message"),
    [
        ("4.13", 19, "19 is below 20, the number of CPU_MSR in 4.13"),
        ("4.13", -1, "-1 is below 20"),
        ("4.13", 0x10000, "typecodes have 16 bits"),
        ("9.9", 40, "no release '9.9'"),
    ],
)
def test_what_cannot_be(name, maximum, message):
    with pytest.raises(UsageError, match=message):
        cost(name, maximum)
