"""Output that cannot be written, as a shell makes it: full disks, closed streams, odd encodings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HVM = str(ROOT / "examples" / "hvm1.img.zst")
COMMANDS = [
    ["--version"],
    ["--help"],
    ["show", "--help"],
    ["show", HVM],
    ["show", HVM, "--all", "--json"],
    ["verify", HVM],
    ["verify", HVM, "--json"],
]


def shell(redirection, *words, **environment):
    """Run the command as a shell does, with its output buffered, and return the process."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "xensave", *words],
        capture_output=True,
        check=False,
        env={**kept, **environment},
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")]
)
def test_output_that_fails_is_one_line(words, redirection, reason):
    done = shell(redirection, *words)
    assert done.returncode == 2
    assert reason in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_closed_output_that_is_not_used():
    assert shell(">&-", "verify", "-q", HVM).returncode == 0


def test_errors_without_a_place_to_go():
    done = shell("2>&-", "show", "no such file")
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_reader_that_went_away():
    done = shell("| true", "--help")
    assert done.stderr == b""


def test_an_encoding_without_the_letters(tmp_path):
    path = tmp_path / "name\u00e9.ctx"
    path.write_bytes((ROOT / "examples" / "pvh1.ctx").read_bytes())
    done = shell("", "verify", str(path), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"name\\xe9.ctx: valid" in done.stdout
