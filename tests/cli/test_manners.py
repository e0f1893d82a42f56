"""How every command takes its words and says what is wrong: what users of other tools expect."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from xensave.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
HVM, PVH = "examples/hvm1.ctx", "examples/pvh1.ctx"
IMAGE = "examples/hvm1.img.zst"
REGISTRY = """
schema = 1
vendor = "V"
[[numbers]]
range = "{}"
"""


@pytest.mark.parametrize(
    "words",
    [
        ["check", HVM, "-t", "4.17", PVH],
        ["check", "-t", "4.17", HVM, PVH],
        ["verify", HVM, "--json", PVH],
        ["clash", "4.17", "--json", "4.17"],
        ["convert", HVM, "--target", "4.17", "OUT", "--from", "4.17"],
        ["review", "examples/reserve-v1.mbox", "--fail-on", "error", "examples/reserve-v1.mbox"],
        ["show", "--json", HVM, "--max-size", "1M"],
        ["records", "--json", "CPU", "--release", "4.17"],
    ],
)
def test_options_stand_between_operands(words, tmp_path, capsys):
    words = [str(tmp_path / "out.ctx") if word == "OUT" else word for word in words]
    assert main(words) in {0, 1 if words[0] == "review" else 0}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_version_is_told_wherever_it_is_asked_for(name, capsys):
    assert main([name, "--version"]) == 0
    told = capsys.readouterr().out
    assert main(["--version", "--json"]) == 0
    assert capsys.readouterr().out == told
    assert main(["--json", "--version"]) == 0
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("name", COMMANDS)
def test_words_of_a_hostile_glob_do_not_reach_the_terminal(name, capsys):
    assert main([name, "--nope=\x1b[31m", "\x1b]0;title\x07", "a", "b", "c"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "\x1b" not in printed.err
    assert "\x07" not in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["shwo", HVM], "did you mean 'show'?"),
        (["--hepl"], ""),
        (["show", HVM, "--recrod", "CPU"], "did you mean '--record'?"),
        (["check", HVM, "--traget=4.17", "-t", "4.17"], "did you mean '--target'?"),
        (["verify", HVM, "--zzzzzz"], ""),
        (["convert", HVM, "OUT", "--targte", "4.17"], "did you mean '--target'?"),
        (["show", HVM, "--record", "lapik"], "did you mean 'LAPIC'?"),
        (["edit", HVM, "OUT", "--set", "CPU.ripp=1"], "did you mean 'rip'?"),
        (["edit", HVM, "OUT", "--set", "CPU.zzzz=1"], ""),
    ],
)
def test_a_slip_of_the_finger_is_answered_with_what_was_meant(words, meant, capsys):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert meant in told
    assert meant or "did you mean" not in told


@pytest.mark.parametrize(
    "words",
    [
        ["show", "--", "-x.ctx"],
        ["show", "--record", "CPU", "--", "-x.ctx"],
        ["check", "-t", "4.17", "--", "--json", "-x.ctx"],
        ["verify", "plain", "--", "-x.ctx"],
    ],
)
def test_behind_two_dashes_stand_operands_alone(words, tmp_path, monkeypatch, capsys):
    for name in ("-x.ctx", "--json", "plain"):
        (tmp_path / name).write_bytes((ROOT / HVM).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    assert "-x.ctx" in capsys.readouterr().out or "CPU" in words


def test_a_file_that_looks_like_an_option_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "-x.ctx").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["show", "-x.ctx"]) == 2
    assert capsys.readouterr().err == (
        "xensave show: unknown words: -x.ctx; ./-x.ctx is the file\n"
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["diff", "{}", HVM], 1),
        (["diff", HVM, "{}"], 1),
        (["diff", "{}", HVM, "--records", "CPU"], 1),
        (["policy", "show", "{}"], 1),
        (["policy", "diff", "{}", "examples/hosts/amd.txt"], 1),
        (["encode", "{}", "OUT"], 1),
        (["clash", "4.17", "{}"], 2),
    ],
)
def test_an_error_names_the_input_that_it_is_of(words, status, tmp_path, capsys):
    wrong = tmp_path / "wrong"
    wrong.write_text("neither an image nor a policy\n")
    assert main([word.format(wrong) for word in words]) == status
    assert capsys.readouterr().err.startswith(f"xensave {words[0]}: {wrong}: ")


def test_no_words_is_wrong_usage_and_help_is_not(capsys):
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: xensave COMMAND")
    assert main(["help"]) == 0
    assert capsys.readouterr().out == printed.err


def test_help_of_a_command(capsys):
    assert main(["help", "show"]) == 0
    assert capsys.readouterr().out.startswith("usage: xensave show")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["show", "nofile", "--json"], "SourceError"),
        (["show", HVM, "--record", "NONE", "--json"], "UsageError"),
        (["check", "nofile", "-t", "4.17", "--json"], "SourceError"),
        (["clash", "4.17", "nofile", "--json"], "UsageError"),
        (["records", "NONE", "--json"], "UsageError"),
        (["suggest", "--for", "V", "--keep", "x", "--json"], "UsageError"),
        (["convert", "nofile", "-t", "4.17", "--dry-run", "--json"], "SourceError"),
        (["review", "nofile", "--format", "json"], "SourceError"),
        (["show", HVM, "--json", "--nope"], "UsageError"),
    ],
)
def test_with_json_an_error_is_a_document_too(words, kind, capsys):
    assert main(words) != 0
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert error["kind"] == kind
    assert error["message"] in printed.err


def test_a_registry_that_cannot_be_read_is_no_clash(tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text("schema = [")
    for words in (
        ["clash", "4.17", str(path)],
        ["clash", "4.17", HVM],
        ["records", "--registry", str(path)],
        ["suggest", "--for", "V", "--registry", str(path)],
        ["review", "examples/reserve-v1.mbox", "--registry", str(path)],
    ):
        assert main(words) == 2, words
        assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_leaves_is_no_finding():
    # More than a pipe holds: who leaves before its end is noticed.
    show = f"{sys.executable} -m xensave show --all --json {IMAGE}"
    script = f'{show} | head -c 1; echo " ${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "{ 141\n"
    assert done.stderr == ""


@pytest.mark.parametrize("text", ["1k", "5G", "512 MiB", "3T", "0x100000", "1048576", "64MB"])
def test_sizes_have_suffixes(text, capsys):
    code = main(["show", HVM, "--max-size", text])
    small = text == "1k"
    assert code == (1 if small else 0)
    assert ("larger than the limit of 1024 bytes" in capsys.readouterr().err) is small


@pytest.mark.parametrize("text", ["0", "-1", "5X", "G", "1e9", "99999999T", ""])
def test_what_is_no_size(text, capsys):
    assert main(["show", HVM, f"--max-size={text}"]) == 2
    assert "argument --max-size" in capsys.readouterr().err
