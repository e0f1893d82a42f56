"""`xensave suggest`, as a person or a script calls it."""

import json
import re

import pytest

from tests.terminal import command

suggest = command("suggest")


def test_amazon(capsys):
    code, out, err = suggest(capsys, "--for", "Amazon", "--keep", "22-34", "--count", "2")
    assert (code, err) == (0, "")
    assert re.search(r"^keep +22 - 34 +deployed, and kept for Amazon", out, re.MULTILINE)
    assert re.search(r"^take +0x4100 - 0x4101 +high in the space", out, re.MULTILINE)
    assert "leave HVM_SAVE_CODE_MAX at 20" in out


def test_a_number_that_must_move(capsys):
    _, out, _ = suggest(capsys, "--for", "uXen", "--keep", "18")
    assert re.search(r"^move +18 -> 0x5500 +18 is VMCE_VCPU", out, re.MULTILINE)


def test_json(capsys):
    code, out, _ = suggest(capsys, "--for", "Acme", "--keep", "22,40", "--json")
    value = json.loads(out)
    assert code == 0
    assert [(s["action"], s["number"], s["replaces"]) for s in value["suggestions"]] == [
        ("keep", 40, None),
        ("move", 0x4100, 22),
    ]
    assert value["notes"]


def test_a_registry_is_heeded(capsys, tmp_path):
    apex = tmp_path / "apex.toml"
    apex.write_text('owner="Apex"\n[[numbers]]\nfirst=0x4100\nlast=0x4103')
    _, out, _ = suggest(capsys, "--for", "Acme", "--registry", str(apex))
    assert re.search(r"^take +0x4110 ", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--for"),
        (["--for", "42"], "no letter from A to Z"),
        (["--for", "Acme", "--keep", "x"], "not a range of numbers: 'x'"),
        (["--for", "Acme", "--keep", "34-22"], "not a range within 0 - 65535"),
        (["--for", "Acme", "--keep", "9" * 5000], "not a range within 0 - 65535"),
        (["--for", "Acme", "--keep", "0x10000"], "not a range within 0 - 65535"),
        (["--for", "Acme", "--count", "300"], "a count is a number from 0 to 256"),
        (["--for", "Acme", "--count", "-1"], "a count is a number from 0 to 256"),
        (["--for", "Acme", "--release", "9.9"], "no release '9.9'"),
        (["--for", "Acme", "--registry", "none.toml"], "none.toml: No such file"),
    ],
)
def test_what_cannot_be_suggested(capsys, words, message):
    code, out, err = suggest(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        (["--for", "Acme", "--space", "mapspace"], ("take", 0x4100)),
        (["--for", "Acme", "--space", "hvm-param"], ("take", 39)),
        (["--for", "Citrix", "--space", "hvm-param", "--keep", "8"], ("keep", 8)),
        (["--for", "Acme", "--space", "hvm-param", "--keep", "8"], ("move", 39)),
        (["--for", "Acme", "--space", "hypercall", "--keep", "39"], ("move", 0x4100)),
    ],
)
def test_another_space(capsys, words, drawn):
    code, out, _ = suggest(capsys, *words, "--json")
    assert code == 0
    [found] = json.loads(out)["suggestions"]
    assert (found["action"], found["number"]) == drawn
