"""`xensave clash`, as a person or a script calls it."""

import json
from pathlib import Path

import pytest

from tests.terminal import command, on_terminal

EXAMPLES = Path(__file__).parents[3] / "examples" / "registries"
UXEN = str(EXAMPLES / "uxen.toml")

clash = command("clash")


@pytest.fixture
def bad_files(tmp_path, monkeypatch):
    """A folder to work in, with a registry that overlaps itself and a file of text."""
    monkeypatch.chdir(tmp_path)
    ranges = "[[numbers]]\nfirst=1\nlast=5\n[[numbers]]\nfirst=3\nlast=9\n"
    (tmp_path / "SELF.toml").write_text(f'owner="A"\n{ranges}')
    (tmp_path / "TEXT").write_text("text")


def test_no_clash(capsys):
    assert clash(capsys, "4.17", "4.17") == (0, "no clash\n", "")
    assert clash(capsys, "4.17", "4.17", "--json") == (0, "[]\n", "")


def test_a_clash_tells_both_claims(capsys):
    code, out, err = clash(capsys, "4.17", UXEN)
    assert (code, err) == (1, "")
    assert "error: number 18 is VMCE_VCPU of Xen and ZP of uXen [NUMBER_TAKEN_TWICE]" in out
    assert "Xen 4.17: 18 VMCE_VCPU, 32 bytes" in out
    assert f"{UXEN}: 18 ZP, 32 bytes" in out


def test_json(capsys):
    code, out, _ = clash(capsys, "4.17", "4.13", UXEN, "--json")
    found = json.loads(out)
    assert code == 1
    assert [(c["rule"], c["number"]) for c in found] == [
        ("LAYOUT_GROWN", 11),
        ("NUMBER_TAKEN_TWICE", 18),
        ("NUMBER_TAKEN_TWICE", 18),
    ]
    assert found[1]["severity"] == "error"
    assert found[1]["sources"] == [
        {"source": "Xen 4.17", "claim": "18 VMCE_VCPU, 32 bytes"},
        {"source": UXEN, "claim": "18 ZP, 32 bytes"},
    ]


def test_a_note_alone_is_no_clash(capsys):
    code, out, _ = clash(capsys, "4.11", "4.12")
    assert code == 0
    assert out.startswith("note: ")


def test_names_in_a_registry_reach_no_terminal_unescaped(capsys, tmp_path):
    acme = tmp_path / "acme.toml"
    acme.write_text(
        'owner="A"\n[[numbers]]\nfirst=18\nused=[{number=18,name="X\\u001b[31m\\nforged"}]'
    )
    _, out, _ = clash(capsys, "4.17", str(acme))
    assert "\x1b" not in out
    assert r"X\x1b[31m\x0aforged" in out


def test_colour_on_a_terminal_alone():
    for no_color, coloured in ((None, True), ("1", False)):
        text, code = on_terminal(["clash", "4.17", UXEN], NO_COLOR=no_color)
        assert code == 1
        assert (b"\x1b[31merror" in text) is coloured


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["4.17"], 2, "two sources or more"),
        (["4.17", "9.9"], 2, "no release '9.9'; there are"),
        (["4.17", "none.toml"], 2, "none.toml: No such file"),
        (["4.17", "SELF.toml"], 2, "SELF.toml: 1 - 5 overlaps 3 - 9"),
        (["4.17", "TEXT"], 2, "not an ELF file"),
    ],
)
def test_what_cannot_be_compared(capsys, bad_files, words, code, message):
    found, out, err = clash(capsys, *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_another_space(capsys):
    assert clash(capsys, "4.17", "citrix", "--space", "mapspace")[:2] == (0, "no clash\n")
    code, out, _ = clash(capsys, "4.0", "citrix", "--space", "hvm-param")
    assert code == 1
    assert "number 8 is VHPT_SIZE of Xen and 32BIT of Citrix [NUMBER_TAKEN_TWICE]" in out
