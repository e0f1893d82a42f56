"""A rules file's names are heeded, whatever sizes happen to agree."""

from pathlib import Path

import pytest

from xensave.cli import main
from xensave.context import Context

CONTEXT = "examples/hvm1.ctx"
PMTIMER = Context.parse(Path(CONTEXT).read_bytes())["PMTIMER", 0]


@pytest.fixture
def converted(tmp_path, capsys):
    def run(body, *words):
        rules = tmp_path / "rules.toml"
        rules.write_text(f"schema = 1\n[[record]]\nfrom = 13\n{body}")
        out = tmp_path / "out.ctx"
        to = ["--from", "4.17", "-t", "4.17", "--rules", str(rules)]
        code = main(["convert", CONTEXT, str(out), *to, *words])
        printed = capsys.readouterr()
        record = Context.parse(out.read_bytes())["PMTIMER", 0] if code == 0 else None
        return code, printed.out + printed.err, record

    return run


def test_what_is_ignored_is_not_copied_and_is_told(converted):
    code, text, record = converted(
        'to = "PMTIMER"\nlayout = "secret:u32 b:u16 c:u16"\nignore = ["secret", "b", "c"]\n'
    )
    assert (code, record.body) == (0, bytes(8))
    assert f"loses, as agreed: secret = {PMTIMER.integer('tmr_val'):#x}" in " ".join(text.split())


def test_what_is_neither_named_nor_ignored_is_lost(converted):
    code, text, _ = converted('to = "PMTIMER"\nlayout = "secret:u32 b:u16 c:u16"\n')
    assert code == 1
    assert "would lose secret" in text


def test_an_ignored_field_of_the_targets_own_name_is_not_copied(converted):
    _, text, record = converted(
        'to = "PMTIMER"\nlayout = "tmr_val:u32 pm1a_sts:u16 pm1a_en:u16"\nignore = ["tmr_val"]\n'
    )
    assert record.integer("tmr_val") == 0
    assert record.integer("pm1a_sts") == PMTIMER.integer("pm1a_sts")
    assert "tmr_val" in text


def test_names_move_fields_wherever_they_stand(converted):
    _, _, record = converted(
        'to = "PMTIMER"\nlayout = "a:u32 x:u16 y:u16"\n'
        'fields = { tmr_val = "a", pm1a_en = "x", pm1a_sts = "y" }\n'
    )
    assert record.integer("tmr_val") == PMTIMER.integer("tmr_val")
    assert record.integer("pm1a_en") == PMTIMER.integer("pm1a_sts")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('fields = { tmr_vall = "a" }', "PMTIMER has no field tmr_vall"),
        ('fields = { tmr_val = "aa" }', "its layout has no field aa"),
        ('ignore = ["aa"]', "its layout has no field aa"),
        ('fields = { tmr_val = "a" }\nignore = ["a"]', "a is in `fields` and in `ignore`"),
        ("set = { nope = 5 }", "nope"),
    ],
)
def test_a_name_that_is_nowhere_is_refused(body, message, converted):
    code, text, _ = converted(f'to = "PMTIMER"\nlayout = "a:u32 b:u16 c:u16"\n{body}\n')
    assert code == 2
    assert message in text


@pytest.mark.parametrize("text", ["a = " + "[" * 4000, "a = " + "1" * 5000, "a = [", "\xff"])
@pytest.mark.parametrize("command", ["rules", "registry", "config"])
def test_toml_that_cannot_be_read_is_one_line(text, command, tmp_path, capsys):
    path = tmp_path / "file.toml"
    path.write_bytes(text.encode("latin-1"))
    words = {
        "rules": ["convert", CONTEXT, "--dry-run", "-t", "4.17", "--rules", str(path)],
        "registry": ["records", "--registry", str(path)],
        "config": ["review", "examples/reserve-v1.mbox", "--config", str(path)],
    }[command]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
