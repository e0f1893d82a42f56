"""Each rule on its own pair of headers: the exact file, line and id, and nothing beside it."""

from pathlib import Path

import pytest

from xensave.catalogue.model import Release
from xensave.catalogue.owned import OwnedRange, UsedNumber
from xensave.headers.trees.tree import DirectoryTree
from xensave.review.trees.sides import read_side
from xensave.rules.numbers.model import Change
from xensave.rules.numbers.run import objections
from xensave.rules.numbers.table import RULES

RULES_DIR = Path(__file__).parent / "rules"
BASE = Release("9.9", "RELEASE-9.9.0", "", 3, 40, False, (), ())
PAST = {1: frozenset({"HEADER"}), 2: frozenset({"CLOCK"}), 3: frozenset({"TIMER"}),
        7: frozenset({"BELL"})}  # fmt: skip
SAVED = {"TIMER": {8: ("9.8",), 16: ("9.9",)}}
ACME = OwnedRange(
    40, 44, "Acme", source="acme.toml",
    used=tuple(UsedNumber(n, "METER" if n == 42 else None, 8) for n in range(40, 45)),
)  # fmt: skip
INITECH = OwnedRange(4, 4, "Initech", source="initech.toml", used=(UsedNumber(4),))
UMBRELLA = OwnedRange(44, 44, "Umbrella", source="umbrella.toml", used=(UsedNumber(44),))
CLAIMS = {
    "RESERVATION_OVERLAPS": (ACME, UMBRELLA),
    "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED": (INITECH,),
}
UNSEEN = ("RECORD_REGISTERED_BY_NO_HANDLER", "note")
# One cause that two rules name: what else a fixture may draw.
WITH = {
    "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED": {"RESERVATION_EXCEEDS_USE"},
    "FIELD_DELETED_UNLESS_COMPAT": {"RECORD_SIZE_CHANGED_UNLESS_COMPAT"},
    "NUMBER_TAKEN_FROM_OWNER_UNLESS_UPSTREAMED": {"MAXIMUM_RAISED_FAR"},
    "NUMBER_BEYOND_WIRE": {"MAXIMUM_RAISED_FAR"},
    "RESERVATION_MADE_BY_CODE": {"MAXIMUM_RAISED_FOR_NO_RECORD"},
    "RECORD_OF_OTHER_STRUCT": {"FIELD_DELETED_UNLESS_COMPAT"},
}


def side(folder):
    return read_side(DirectoryTree(folder))


def judged(folder, claims=(ACME,)):
    change = Change(side(folder / "previous"), side(folder / "current"), BASE, PAST, claims, SAVED)
    return objections(change)


def as_line(objection):
    side = "previous" if objection.removed else "current"
    return f"{side} {objection.finding.place} {objection.finding.rule}"


BY_ID = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_fixture_draws_its_rule_at_its_line(rule):
    folder = RULES_DIR / rule
    assert folder.is_dir(), f"no example: headers in {folder}/previous and current, and `expected`"
    found = judged(folder, CLAIMS.get(rule, (ACME,)))
    # Most fixtures are headers alone, of which no handler can be told.
    found = [o for o in found if (o.finding.rule, o.finding.severity) != UNSEEN]
    drawn = [as_line(o) for o in found if o.finding.rule not in WITH.get(rule, set())]
    assert drawn == (folder / "expected").read_text().splitlines()
    assert all(o.finding.severity == BY_ID[rule].severity for o in found if o.finding.rule == rule)
    assert all(o.finding.remedy for o in found)


@pytest.mark.parametrize("rule", [folder.name for folder in sorted(RULES_DIR.iterdir())])
def test_no_change_draws_nothing(rule):
    previous = side(RULES_DIR / rule / "previous")
    assert objections(Change(previous, previous, BASE, PAST, CLAIMS.get(rule, (ACME,)))) == []


def test_every_fixture_is_of_a_rule():
    folders = {path.name for path in RULES_DIR.iterdir()}
    assert folders - set(BY_ID) == set(), "no rule has these names: take the folders out"


def test_ids_and_texts_are_well_formed():
    assert len(BY_ID) == len(RULES)
    for rule in RULES:
        assert rule.id == rule.id.upper()
        assert rule.purpose.endswith(".")
        assert rule.purpose.count(". ") == 0
        assert rule.remedy
        assert rule.check.__doc__
