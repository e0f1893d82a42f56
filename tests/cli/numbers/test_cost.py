"""`xensave cost`, as a person or a script calls it."""

import json

import pytest

from tests.terminal import command
from xensave.cli import main

cost = command("cost")


def test_what_the_thread_asked_for(capsys):
    code, out, err = cost(capsys, "--release", "4.13", "--max", "40")
    assert (code, err) == (0, "")
    assert "+800 bytes, +20 iterations" in out
    assert "40 bytes an entry" in out


def test_json(capsys):
    code, out, _ = cost(capsys, "--release", "4.13", "--max", "0x28", "--json")
    value = json.loads(out)
    assert code == 0
    assert (value["bytes_more"], value["iterations_more"]) == (800, 20)
    assert value["sparse"] == {
        "entries": 19,
        "bytes": 760,
        "iterations": 19,
        "bytes_more": -80,
        "iterations_more": -2,
    }


def test_the_newest_release_unasked(capsys):
    assert "48 bytes an entry" in cost(capsys, "--max", "40")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--release", "4.13", "--max", "19"], "19 is below 20"),
        (["--release", "4.13", "--max", "65536"], "16 bits"),
        (["--release", "9.9", "--max", "40"], "no release '9.9'"),
        (["--max", "forty"], "not a number: 'forty'"),
        ([], "--max"),
    ],
)
def test_what_cannot_be_counted(capsys, words, message):
    code, out, err = cost(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


def test_another_space(capsys):
    assert main(["cost", "--space", "hvm-param", "--max", "64", "--release", "4.17"]) == 0
    assert "+200 bytes per HVM domain (+25 entries of 8 bytes)" in capsys.readouterr().out
    assert main(["cost", "--space", "hvm-param", "--max", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes_more"] == 200
    assert main(["cost", "--space", "mapspace", "--max", "64"]) == 2
    assert "no limit sizes an array" in capsys.readouterr().err
    assert main(["cost", "--space", "hvm-param", "--max", "30"]) == 2
