"""Each rule on number spaces, on the smallest change that draws it, and on one that does not."""

from dataclasses import replace

import pytest

from xensave import catalogue
from xensave.catalogue.owned import OwnedRange, UsedNumber
from xensave.headers.spaces import description_of
from xensave.headers.text.numbers import read_document, read_text
from xensave.rules.spaces.model import SpaceChange
from xensave.rules.spaces.run import objections
from xensave.rules.spaces.table import RULES

BASE = """\
#define HVM_PARAM_STORE_PFN 1
#define HVM_PARAM_STORE_EVTCHN 2
#define HVM_PARAM_VIRIDIAN 9
/* #define HVM_PARAM_DM_DOMAIN 13 */
/* Param 30 is reserved for Acme */
#define HVM_NR_PARAMS 39
"""
PAST = {1: {"STORE_PFN"}, 2: {"STORE_EVTCHN"}, 7: {"NVRAM_FD"}, 9: {"VIRIDIAN"}}
CITRIX = OwnedRange(
    8, 8, "Citrix", source="citrix.toml", used=(UsedNumber(8, "32BIT"),), space="hvm-param"
)
ACME = OwnedRange(
    30, 31, "Acme", source="acme.toml", used=(UsedNumber(30, "METER"),), space="hvm-param"
)


def define(name, value):
    return f"#define HVM_PARAM_{name} {value}\n"


def changed(old, new):
    assert old in BASE
    return BASE.replace(old, new)


def judged(before, after, *, space="hvm-param", past=PAST, released=None, other=None):
    description = description_of(space)
    change = SpaceChange(
        description=description,
        before=None if before is None else read_text(before, "h", description),
        after=read_text(after, "h", description),
        space=catalogue.space(space),
        past={number: frozenset(names) for number, names in past.items()},
        claims=(CITRIX, ACME),
        other=other,
        released=released,
    )
    return [(o.finding.rule, o.finding.severity, o.finding.place.line) for o in objections(change)]


CASES = [
    (BASE + define("FOO", 9), "SPACE_NUMBER_TAKEN", "error", 7),
    (BASE + define("FOO", 7), "SPACE_NUMBER_REUSED", "error", 7),
    (BASE + define("FOO", 13), "SPACE_NUMBER_REUSED", "error", 7),
    (changed("VIRIDIAN 9", "BANANA 9"), "SPACE_NUMBER_REUSED", "error", 3),
    (changed("STORE_PFN 1", "STORE_GFN 1"), "SPACE_NUMBER_RENAMED", "note", 1),
    (changed("VIRIDIAN 9", "VIRIDIAN 12"), "SPACE_NUMBER_MOVED", "error", 3),
    (changed("#define HVM_PARAM_VIRIDIAN 9\n", "\n"), "SPACE_NUMBER_DELETED", "warning", 3),
    (BASE + define("FOO", -1), "SPACE_NUMBER_BEYOND_WIRE", "error", 7),
    (BASE + define("FOO", "sizeof(x)"), "SPACE_NUMBER_UNKNOWN", "warning", 7),
    (BASE + define("FOO", 8), "SPACE_NUMBER_TAKEN_FROM_OWNER", "error", 7),
    (BASE + define("FOO", 30), "SPACE_NUMBER_TAKEN_FROM_OWNER", "error", 7),
    (BASE + define("FOO", 39), "SPACE_NUMBER_BEYOND_LIMIT", "error", 7),
    (changed("PARAMS 39", "PARAMS 64"), "SPACE_LIMIT_RAISED_FOR_NO_NUMBER", "error", 6),
    (
        changed("PARAMS 39", "PARAMS 101\n" + define("FOO", 100)),
        "SPACE_LIMIT_RAISED_FAR",
        "warning",
        6,
    ),
    (changed("PARAMS 39", "PARAMS 30"), "SPACE_LIMIT_LOWERED", "error", 6),
    (
        BASE + "/* Params 30 - 31 are reserved for Acme */\n",
        "SPACE_RESERVATION_EXCEEDS_USE",
        "error",
        7,
    ),
    (
        BASE + "/* Params 100 and up are for Initech */\n",
        "SPACE_RESERVATION_USE_UNSTATED",
        "warning",
        7,
    ),
    (BASE + "/* Param 8 is reserved for Initech */", "SPACE_RESERVATION_OVERLAPS", "error", 7),
    (changed("/* Param 30 is reserved for Acme */", ""), "SPACE_RESERVATION_REMOVED", "error", 5),
]


@pytest.mark.parametrize(("after", "rule", "severity", "line"), CASES)
def test_a_change_draws_its_rule(after, rule, severity, line):
    assert (rule, severity, line) in judged(BASE, after)


@pytest.mark.parametrize(
    "after",
    [
        BASE,
        changed("PARAMS 39", "PARAMS 40\n" + define("FOO", 39)),
        BASE + define("FOO", 3),
        BASE + define("OTHER", "HVM_PARAM_VIRIDIAN"),
        BASE + define("32BIT", 8),  # Citrix brings its own number upstream
        BASE + define("METER", 30),
        changed("VIRIDIAN 9", "VIRIDIAN (8 + 1)"),
        changed("#define HVM_PARAM_VIRIDIAN 9", "/* #define HVM_PARAM_VIRIDIAN 9 */"),
        changed("Param 30 is reserved for Acme", "Number 30 is kept for Acme."),
        BASE.replace("\n", "\n\n"),
    ],
)
def test_a_change_that_is_fine(after):
    assert judged(BASE, after) == []


def test_branches_that_no_compiler_sees_together():
    after = BASE + "#ifdef __ia64__\n" + define("A", 3) + "#else\n" + define("B", 3) + "#endif\n"
    assert judged(BASE, after) == []
    assert judged(BASE, after.replace("#else\n", "")) == [("SPACE_NUMBER_TAKEN", "error", 9)]


def test_what_no_release_has_may_change():
    before = BASE + define("FOO", 5)
    assert judged(before, BASE) == [("SPACE_NUMBER_DELETED", "note", 7)]


@pytest.mark.parametrize(("version", "severity"), [(21, "error"), (22, "note")])
def test_a_control_interface_changes_with_its_version(version, severity):
    before = "#define XEN_DOMCTL_INTERFACE_VERSION 21\n#define XEN_DOMCTL_max_mem 11\n"
    after = before.replace("21", str(version)).replace("11", "12")
    found = judged(before, after, space="domctl", past={11: {"max_mem"}}, released=21)
    assert found == [("SPACE_NUMBER_MOVED", severity, 2)]


def test_header_and_specification():
    description = description_of("libxc-record")
    spec = read_document("0x0000000E: CHECKPOINT\n", "spec", description)
    before = "#define REC_TYPE_CHECKPOINT 0x0000000eU\n"
    assert judged(before, before, space="libxc-record", other=spec) == []
    after = before.replace("0eU", "0fU") + "#define REC_TYPE_NEW 0x10U\n"
    found = judged(before, after, space="libxc-record", past={}, other=spec)
    assert ("SPACE_DOCUMENT_DIFFERS", "error", 1) in found
    assert ("SPACE_NUMBER_UNDOCUMENTED", "note", 2) in found


def test_a_whole_state_is_held_to_what_makes_sense_of_it():
    assert judged(None, BASE) == []
    assert judged(None, BASE + define("FOO", 9)) == [("SPACE_NUMBER_TAKEN", "error", 7)]


def test_every_rule_has_a_case():
    tested = {rule for _, rule, _, _ in CASES}
    assert tested | {"SPACE_DOCUMENT_DIFFERS", "SPACE_NUMBER_UNDOCUMENTED"} == {r.id for r in RULES}


def test_a_cost_is_told():
    description = description_of("hvm-param")
    change = SpaceChange(
        description=description,
        before=read_text(BASE, "h", description),
        after=read_text(changed("PARAMS 39", "PARAMS 64"), "h", description),
        space=catalogue.space("hvm-param"),
        past={},
    )
    [raised] = [o for o in objections(change) if o.finding.rule.startswith("SPACE_LIMIT")]
    assert "+200 bytes per HVM domain" in raised.finding.message
    assert objections(replace(change, after=change.before)) == []
