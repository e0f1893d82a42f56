"""`xensave policy`."""

import json

import pytest

from xensave.cli import main

IMAGE = "examples/hvm1.img.zst"
HOST = "examples/hosts/amd.txt"


def test_show_names_features_and_leaves(capsys):
    assert main(["policy", "show", IMAGE]) == 0
    text = capsys.readouterr().out
    assert "AuthenticAMD, family 15" in text
    assert "0x7.0" in text
    assert " PKU " in text


def test_show_json_is_whole(capsys):
    assert main(["policy", "show", IMAGE, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert "pku" in value["features"]
    assert {key: value["leaves"][1][key] for key in ("leaf", "subleaf")} == {
        "leaf": 1,
        "subleaf": 0xFFFFFFFF,
    }
    assert value["msrs"][0] == {"index": 0xCE, "value": 0x80000000, "hex": "0x0000000080000000"}


def test_a_host_has_blocks(capsys):
    assert main(["policy", "show", HOST, "--block", "pv-max", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["source"] == "PV Max policy"
    assert "pku" not in value["features"]


def test_diff_tells_what_changes(capsys):
    assert main(["policy", "diff", IMAGE, IMAGE]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert main(["policy", "diff", IMAGE, HOST, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["differs"]
    assert value["registers"][0].keys() == {"leaf", "subleaf", "register", "old", "new"}


@pytest.mark.parametrize(("target", "code"), [("4.15.2", 1), ("4.17.7", 1)])
def test_diff_before_a_target(target, code, capsys):
    assert main(["policy", "diff", IMAGE, HOST, "--target", target]) == code
    text = capsys.readouterr().out
    assert ("ERANGE" in text) is (target == "4.15.2")
    assert ("acpi" in text) is (target == "4.17.7")


def test_usage(capsys):
    assert main(["policy", "diff", IMAGE]) == 2
    assert main(["policy", "show", "examples/hvm1.ctx"]) != 0
    capsys.readouterr()
