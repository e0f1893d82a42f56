"""The command: plans, exit codes, where what is printed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import command
from xensave.cli import main

ROOT = Path(__file__).parents[3]
IMAGE = str(ROOT / "examples/hvm1.img.zst")
CONTEXT = str(ROOT / "examples/hvm1.ctx")

run = command("convert")


def test_a_dry_run_writes_nothing_and_needs_no_out(capsys, tmp_path):
    out = tmp_path / "out"
    code, text, error = run(capsys, CONTEXT, out, "--from", "4.17", "--target", "4.16", "--dry-run")
    assert (code, error) == (0, "")
    assert text == "4.17 to 4.16: nothing to change\n"
    assert not out.exists()
    assert run(capsys, CONTEXT, "--from", "4.17", "--target", "4.16", "--dry-run")[0] == 0


def test_a_loss_is_refused_named_and_allowed(capsys, tmp_path):
    out = tmp_path / "out"
    code, text, error = run(capsys, IMAGE, out, "--target", "4.13")
    assert code == 1
    assert "X86_CPUID_POLICY" in text
    assert error.startswith(f"xensave convert: {IMAGE}: offset ")
    assert "--allow-loss" in error
    assert len(error.splitlines()) == 1
    assert not out.exists()
    assert run(capsys, IMAGE, out, "--target", "4.13", "--allow-loss")[0] == 0
    assert main(["verify", "-q", str(out)]) == 0


def test_json(capsys, tmp_path):
    code, text, _ = run(capsys, IMAGE, tmp_path / "out", "--target", "4.13", "--json")
    plan = json.loads(text)
    assert code == 1
    assert (plan["source"], plan["target"], plan["lossy"]) == ("4.17", "4.13", True)
    assert "--allow-loss" in plan["refused"]
    by_record = {change["record"]: change for change in plan["changes"]}
    assert by_record["RTC[0]"]["action"] == "convert"
    assert by_record["RTC[0]"]["citation"]["release"] == "4.14"
    assert by_record["libxc X86_CPUID_POLICY"]["loss"][0]["field"] == "policy"
    code, text, _ = run(capsys, IMAGE, tmp_path / "out", "--target", "4.17", "--json")
    assert (code, json.loads(text)["changes"], json.loads(text)["refused"]) == (0, [], None)


def test_identity_is_byte_identical(capsys, tmp_path):
    out = tmp_path / "out"
    assert run(capsys, CONTEXT, out, "--from", "4.17", "--target", "4.17")[0] == 0
    assert out.read_bytes() == Path(CONTEXT).read_bytes()


def test_standard_output_has_the_image_alone(tmp_path):
    command = [sys.executable, "-m", "xensave", "convert", "-", "-", "--target", "4.21"]
    with open(CONTEXT, "rb") as context:
        done = subprocess.run(
            [*command, "--from", "4.17"], stdin=context, capture_output=True, check=True
        )
    assert done.stdout.startswith(Path(CONTEXT).read_bytes()[:32])
    assert done.stderr.startswith(b"4.17 to 4.21: 1 change, no state lost\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((CONTEXT, "--target", "4.17"), "OUT"),
        ((CONTEXT, "x", "--target", "9.9"), "9.9"),
        ((CONTEXT, "x", "--target", "4.17", "--from", "0.1"), "0.1"),
        ((CONTEXT, "x", "--target", "4.17", "--map", "22"), "--map"),
        ((CONTEXT, "x", "--target", "4.17", "--drop", "22", "--map", "22=RTC"), "typecode 22"),
        (("/nothing/here", "x", "--target", "4.17"), "No such file"),
        ((CONTEXT, "/nothing/here/x", "--target", "4.17", "--from", "4.17"), "No such file"),
        ((CONTEXT, "x", "--target", "4.17", "--policy", CONTEXT), "CPU policy"),
    ],
)
def test_usage(capsys, words, says):
    code, _, error = run(capsys, *words)
    assert code == 2
    assert says in error
    assert len(error.splitlines()) == 1


def test_repair_prints_its_findings(capsys, tmp_path):
    from xensave.context import Context

    context = Context.parse(Path(CONTEXT).read_bytes(), "4.17")
    path = tmp_path / "old.ctx"
    path.write_bytes(context.replace("CPU", 0, cs_arbytes=0xA09B).to_bytes())
    words = (path, "--from", "4.17", "--target", "4.17", "--dry-run", "--repair")
    code, text, _ = run(capsys, *words)
    assert code == 0
    assert "CPU_SEGMENT_ATTRIBUTES_VMCS" in text
    assert "60a3eafa2b" in text
    found = json.loads(run(capsys, *words, "--json")[1])
    assert found["findings"][0]["rule"] == "CPU_SEGMENT_ATTRIBUTES_VMCS"


def test_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, text, _ = run(capsys, IMAGE, "--target", "4.13", "--dry-run")
    assert all(len(line) <= 40 or " " not in line.strip() for line in text.splitlines()[2:])


@pytest.mark.parametrize("target", ["4.6", "4.9", "4.13", "4.17", "4.20", "4.21", "master"])
def test_check_takes_what_convert_wrote(capsys, tmp_path, target):
    out = tmp_path / "out"
    assert run(capsys, IMAGE, out, "--target", target, "--allow-loss")[0] == 0
    assert main(["check", str(out), "--target", target]) == 0


WEAK = ROOT / "tests" / "data" / "restores" / "weak.txt"
PVH = ROOT / "examples" / "pvh1.ctx"


def test_a_host_is_answered_for(capsys, tmp_path):
    """What vanishes there is a warning; a state that it refuses is exit 1: nothing is written."""
    words = ["--target", "4.17.7", "--host", WEAK, "--json"]
    code, text, _ = run(capsys, IMAGE, tmp_path / "out", *words)
    (lost,) = [each for each in json.loads(text)["warnings"] if each.startswith("the guest loses")]
    assert code == 0
    assert {"avx", "smep"} <= set(lost.split())
    code, text, error = run(capsys, PVH, tmp_path / "not", "--from", "4.17", *words)
    assert code == 1
    assert "CR4" in json.loads(text)["refused"]
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("option", ["host", "policy"])
def test_a_file_that_says_nothing_is_trouble(option, capsys, tmp_path):
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("nothing\n")
    code, _, error = run(capsys, IMAGE, "--dry-run", "--target", "4.17", f"--{option}", nothing)
    assert code == 2
    assert f"--{option} {nothing}: " in error
