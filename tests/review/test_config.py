"""Waivers and registries: what they must say, and what they do."""

import pytest

from xensave.errors import Malformed, SourceError, UsageError
from xensave.review.claims import claims, used_ranges
from xensave.review.config import find_config, read_config
from xensave.review.session import Request, review

WAIVER = """
[[waive]]
rule = "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED"
record = "Amazon"
severity = "note"
reason = "no time machine is at hand"

[[waive]]
rule = "MAXIMUM_RAISED_FOR_NO_RECORD"
path = "xen/include/public/*"
reason = "the table is sparse here"
"""


def test_waivers_lower_and_switch_off(tmp_path, v1):
    file = tmp_path / ".xensave.toml"
    file.write_text(WAIVER)
    result = review(Request(inputs=("v1",), config=str(file)), lambda _: v1)
    (done,) = result.reviews
    assert [(o.finding.rule, o.finding.severity) for o in done.objections] == [
        ("RESERVATION_EXCEEDS_USE", "error"),
        ("RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED", "note"),
    ]
    (waived,) = done.waived
    assert waived.reason == "the table is sparse here"


def test_a_waiver_elsewhere_covers_nothing_here(tmp_path, v1):
    file = tmp_path / ".xensave.toml"
    file.write_text(WAIVER.replace("Amazon", "Acme").replace("xen/include/public/*", "other/*"))
    (done,) = review(Request(inputs=("v1",), config=str(file)), lambda _: v1).reviews
    assert len(done.objections) == 3
    assert done.waived == ()


def test_pyproject_and_the_directory_above(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.xensave]\nused = ["22-34"]\n' + WAIVER.replace("[[waive]]", "[[tool.xensave.waive]]")
    )
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    config = find_config(inner)
    assert (len(config.waivers), config.used) == (2, ("22-34",))
    (inner / ".xensave.toml").write_text("")
    assert find_config(inner).waivers == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[waive]]\nrule = 'NUMBER_REUSED'\n", "reason: must be a text"),
        ("[[waive]]\nrule = 'NUMBER_REUSED'\nreason = ' '\n", "reason: must be a text"),
        ("[[waive]]\nrule = 'NO_SUCH'\nreason = 'x'\n", "no rule 'NO_SUCH'"),
        ("[[waive]]\nreason = 'x'\n", "rule: must be a text"),
        (
            "[[waive]]\nrule = 'NUMBER_REUSED'\nreason = 'x'\nseverity = 'low'\n",
            "severity: must be",
        ),
        ("[[waive]]\nrule = 'NUMBER_REUSED'\nreason = 'x'\nfile = 'y'\n", "file: unknown key"),
        ("waive = 3\n", "must be an array of tables"),
        ("waive = [3]\n", "must be a table"),
        ("used = 'all'\n", "must be an array of strings"),
        ("ignore = []\n", "ignore: unknown key"),
        ("= 3\n", "toml"),
    ],
)
def test_a_configuration_that_does_not_say_what_it_must(tmp_path, text, says):
    file = tmp_path / ".xensave.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_config(file)


def test_amazons_numbers_ship():
    amazon = next(claim for claim in claims((), ()) if claim.owner == "Amazon")
    used = [use.number for use in amazon.used]
    assert (amazon.first, amazon.last, used) == (22, 34, list(range(22, 35)))


def test_a_registry_of_ones_own(tmp_path):
    file = tmp_path / "acme.toml"
    file.write_text(
        'owner = "Acme"\n[[numbers]]\nfirst = 0x4100\nlast = 0x4103\n'
        'used = [{number = 0x4100, name = "METER", size = 16}, 0x4102]\n'
        "[[numbers]]\nfirst = 50\n"
    )
    one, other = (claim for claim in claims([str(file)], ()) if claim.owner == "Acme")
    assert (one.owner, one.first, one.last) == ("Acme", 0x4100, 0x4103)
    assert [use[:3] for use in one.used] == [(0x4100, "METER", 16), (0x4102, None, None)]
    assert (other.first, other.last, other.used) == (50, 50, ())


def test_a_registry_that_does_not_say_what_it_must(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('owner = "A"\n[[numbers]]\nfirst = 3\nlast = 2\n')
    with pytest.raises(Malformed, match=r"2 is below first, 3"):
        claims([str(file)], ())


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(SourceError):
        claims([str(tmp_path / "no.toml")], ())
    with pytest.raises(SourceError):
        read_config(tmp_path / "no.toml")


@pytest.mark.parametrize("text", ["", "x", "34-22", "-5", "70000", "22-", "9" * 5000])
def test_ranges_that_are_none(text):
    with pytest.raises(UsageError):
        used_ranges(text)
