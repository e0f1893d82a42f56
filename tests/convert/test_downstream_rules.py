"""A downstream's rules: what they say is done, what they cannot say is refused."""

import sys
from pathlib import Path

import pytest

from xensave import catalogue
from xensave.context import Context
from xensave.convert.plan import Plan
from xensave.convert.records.context import ContextConverter
from xensave.convert.rules import load_rules, parse_drop, parse_map
from xensave.errors import Malformed, SourceError, UsageError

ROOT = Path(__file__).parents[2]

VMCE = """
schema = 1
[[record]]
from = 22
to = "VMCE_VCPU"
layout = "caps:u64 bank0:u64 owner:u64 note:u32 pad:u32"
fields = { mci_ctl2_bank0 = "bank0" }
set = { mcg_ext_ctl = 5 }
ignore = ["owner"]
reason = "our first vMCE record"
"""


@pytest.fixture
def rules(tmp_path):
    def write(text):
        path = tmp_path / "rules.toml"
        path.write_text(text)
        return load_rules(str(path))

    return write


def words(*values):
    return b"".join(value.to_bytes(8, "little") for value in values)


def convert(body, rules, target="4.17"):
    context = Context.parse((ROOT / "examples/pvh1.ctx").read_bytes(), "4.17")
    *records, end = (r for r in context.records if r.name != "VMCE_VCPU")
    context = context.with_records((*records, type(end)(22, 0, body), end))
    plan = Plan(target, "4.17")
    converter = ContextConverter(
        catalogue.release(target), plan, {r.number: r for r in rules}, tuple
    )
    return converter.convert(Context.parse(context.to_bytes(), "4.17")), plan


def test_fields_constants_and_leave(rules):
    made, plan = convert(words(7, 8, 9, 0), rules(VMCE))
    record = made["VMCE_VCPU", 0]
    assert [record.integer(n) for n in ("caps", "mci_ctl2_bank0", "mcg_ext_ctl")] == [7, 8, 5]
    assert not plan.losses
    assert plan.changes[0].reason == "our first vMCE record"


def test_what_the_rule_does_not_mention_is_a_loss(rules):
    _, plan = convert(words(7, 8, 9, 3), rules(VMCE))
    assert [loss.field for loss in plan.losses[0].loss] == ["note"]


def test_a_body_of_another_size_is_an_error(rules):
    with pytest.raises(Malformed, match="32 bytes, here are 8"):
        convert(bytes(8), rules(VMCE))


def test_keep(rules):
    made, plan = convert(b"\1", rules('schema = 1\n[[record]]\nfrom = 22\naction = "keep"\n'))
    assert made[22, 0].body == b"\1"
    assert not plan.changes


def test_a_hook_beside_the_file(rules, tmp_path):
    (tmp_path / "my_hooks.py").write_text(
        "def halve(record):\n    return record.body[:8] + bytes(24) if record.body else None\n"
    )
    text = 'schema = 1\n[[record]]\nfrom = 22\nto = "VMCE_VCPU"\nhook = "my_hooks:halve"\n'
    try:
        found = rules(text)
        made, _ = convert(words(3, 4), found)
        assert made["VMCE_VCPU", 0].integer("caps") == 3
        made, plan = convert(b"", found)
        assert "VMCE_VCPU" not in made
        assert plan.changes[0].action == "drop"
    finally:
        sys.modules.pop("my_hooks", None)
    assert str(tmp_path) not in sys.path


def test_a_hook_that_fails(rules, tmp_path):
    (tmp_path / "bad_hooks.py").write_text("def fail(record):\n    raise KeyError('cr9')\n")
    (tmp_path / "worse_hooks.py").write_text("1 / 0\n")
    text = 'schema = 1\n[[record]]\nfrom = 22\nto = "VMCE_VCPU"\nhook = "{}:fail"\n'
    try:
        with pytest.raises(UsageError, match="the hook failed: KeyError: 'cr9'") as caught:
            convert(words(3, 4), rules(text.format("bad_hooks")))
        assert (caught.value.record, caught.value.path) == ("type 22[0]", None)
        with pytest.raises(UsageError, match="hook: 'worse_hooks:fail': division by zero"):
            rules(text.format("worse_hooks"))
    finally:
        sys.modules.pop("bad_hooks", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema: None"),
        ("schema = 2", "schema: 2"),
        ("schema = 1\nrecords = 3", "records"),
        ("schema = 1\nrecord = 3", "record"),
        ("schema = 1\n[[record]]\nfrom = 22", "action"),
        ('schema = 1\n[[record]]\nfrom = 22\naction = "eat"', "action"),
        ('schema = 1\n[[record]]\nfrom = 22\naction = "map"', "to: must be"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nsize = 3', "size: unknown key"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nignore = "x"', "array of strings"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nlayout = "x"', "no field"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nlayout = "x:u128"', "no type u128"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nset = { x = "y" }', "set.x"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nhook = "nothere:f"', "nothere"),
        ('schema = 1\n[[record]]\nfrom = 22\nto = "RTC"\nhook = "os:sep"', "no function"),
        ('schema = 1\n[[record]]\nfrom = 0\naction = "drop"', "typecode 0"),
        ('schema = 1\n[[record]]\nfrom = "NOPE"\naction = "drop"', "NOPE"),
        ("schema = 1\n[[record", "rules.toml"),
        (
            'schema = 1\n[[record]]\nfrom = 22\naction = "drop"\n[[record]]\nfrom = 22\n'
            'action = "keep"',
            "two entries",
        ),
    ],
)
def test_what_the_schema_forbids(rules, text, says):
    with pytest.raises(UsageError, match=says):
        rules(text)


def test_a_rule_about_fields_that_are_not_there(rules):
    with pytest.raises(UsageError, match="no field nothing"):
        convert(words(7, 8, 9, 0), rules(VMCE.replace('"owner"]', '"nothing"]')))


def test_a_record_that_the_target_lacks(rules):
    with pytest.raises(UsageError, match=r"4\.1 has no record VMCE_VCPU"):
        convert(words(7, 8, 9, 0), rules(VMCE), "4.1")


def test_no_such_file(tmp_path):
    with pytest.raises(SourceError):
        load_rules(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("text", ["22", "22=", "=RTC", "NOPE=RTC", "70000=RTC", "1=RTC"])
def test_map_spelt_wrongly(text):
    with pytest.raises(UsageError):
        parse_map(text)


def test_names_stand_for_numbers():
    assert parse_map("VIRIDIAN_VCPU=18").number == 17
    assert parse_drop("RTC").number == 11
