"""What every command does alike: how it reads numbers, names its input, and complains."""

import io

import pytest

from xensave.cli import main
from xensave.views.text.terminal import coloured

CONTEXT = "examples/hvm1.ctx"


@pytest.mark.parametrize(
    "words",
    [
        ["show", CONTEXT],
        ["verify", CONTEXT],
        ["check", CONTEXT, "--target", "4.17"],
        ["convert", CONTEXT, "--target", "4.17", "--dry-run"],
    ],
)
def test_a_limit_is_a_number_from_one_on(words, capsys):
    for given, wrong in (("0", "must be 1 or more: '0'"), ("much", "not a number: 'much'")):
        assert main([*words, "--max-size", given]) == 2
        assert capsys.readouterr().err.endswith(f"argument --max-size: {wrong}\n")
    assert main([*words, "--max-size", "0x100000"]) == 0


@pytest.mark.parametrize("name", ["x", "0", "HVM", "offset 0x"])
def test_an_error_names_its_input_whatever_that_is_called(name, tmp_path, monkeypatch, capsys):
    with open(CONTEXT, "rb") as file:
        (tmp_path / name).write_bytes(file.read(3000))
    monkeypatch.chdir(tmp_path)
    assert main(["show", name]) == 1
    assert capsys.readouterr().err.startswith(f"xensave show: {name}: offset 0xaa8: ")


def test_an_input_that_is_not_there_is_named_once(capsys):
    assert main(["show", "no-such-file"]) == 2
    assert capsys.readouterr().err == "xensave show: no-such-file: No such file or directory\n"


def test_a_number_that_is_no_descriptor_is_a_line(capsys):
    assert main(["verify", "--in", "99999999999999999999"]) == 2
    message = "<fd 99999999999999999999>: no number of a descriptor\n"
    assert capsys.readouterr().err == f"xensave verify: {message}"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_what_says_whether_to_colour(variables, terminal, pipe, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert coloured(Terminal()) is terminal
    assert coloured(io.StringIO()) is pipe
    for stream in (Terminal(), io.StringIO()):
        assert coloured(stream, "always")
        assert not coloured(stream, "never")


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "CUT"],
        ["check", CONTEXT, "--target", "4.17"],
        ["convert", CONTEXT, "--target", "4.17", "--dry-run"],
        ["clash", "4.17", "4.21"],
        ["review", "examples/reserve-v1.mbox"],
    ],
)
def test_every_command_heeds_color(words, tmp_path, capsys):
    cut = tmp_path / "cut.ctx"
    with open(CONTEXT, "rb") as file:
        cut.write_bytes(file.read(3000))
    words = [str(cut) if word == "CUT" else word for word in words]
    main([*words, "--color", "always"])
    assert "\x1b[" in capsys.readouterr().out
    main([*words, "--color=never"])
    assert "\x1b[" not in capsys.readouterr().out
