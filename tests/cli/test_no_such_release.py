"""No command answers for a release that does not exist."""

import pytest

from xensave.cli import main

HVM, IMAGE = "examples/hvm1.ctx", "examples/hvm1.img.zst"
CASES = [
    ["check", HVM, "-t"],
    ["check", HVM, "--matrix", "-t"],
    ["convert", HVM, "--dry-run", "--from", "4.17", "-t"],
    ["convert", HVM, "--dry-run", "-t", "4.17", "--from"],
    ["edit", HVM, "--dry-run", "--set", "CPU[0].rip=1", "-t"],
    ["show", HVM, "--release"],
    ["decode", HVM, "--release"],
    ["records", "--release"],
    ["records", "LAPIC", "--release"],
    ["records", "22", "--release"],
    ["records", "--format", "c", "--release"],
    ["records", "--space", "hvm-param", "--release"],
    ["clash", "4.21"],
    ["clash", "4.21", "--space", "hvm-param"],
    ["compare", "4.21"],
    ["cost", "--max", "40", "--release"],
    ["suggest", "--for", "Acme", "--release"],
    ["policy", "diff", IMAGE, IMAGE, "-t"],
    ["review", "examples/reserve-v1.mbox", "--base"],
]


@pytest.mark.parametrize("words", CASES, ids=" ".join)
@pytest.mark.parametrize("name", ["4.20.9", "4.17.99", "4.17.7-pre", "4.99", "9.9"])
def test_a_release_that_is_not_is_refused(words, name, capsys):
    assert main([*words, name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert name.removesuffix("-pre") in err
    if name.startswith("4.17"):
        assert "there are 4.17.0 - 4.17.7" in err
