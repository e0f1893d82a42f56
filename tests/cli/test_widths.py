"""On a narrow terminal text is folded between words; a pipe has each finding in one line."""

import subprocess
import sys

import pytest

from tests.terminal import on_terminal
from xensave.views.text.wrap import cells

COMMANDS = [
    ["--help"],
    ["review", "--rules"],
    ["review", "examples/reserve-v1.mbox", "--color", "never"],
    ["check", "examples/hvm1.ctx", "-t", "4.13", "-t", "4.17", "--color", "never"],
    ["clash", "4.13", "4.21", "--color", "never"],
    ["compare", "4.17", "4.21", "--color", "never"],
    ["suggest", "--for", "Acme"],
    ["diff", "examples/hvm1.ctx", "examples/pvh1.ctx", "--records", "RTC,CPU"],
    ["show", "no-such-file-of-a-name-that-is-rather-long.img"],
]


def lines_of(words, columns):
    """What a command prints on a terminal of so many columns."""
    shown, _ = on_terminal(words, COLUMNS=str(columns), TERM="xterm")
    return shown.decode().replace("\r", "").split("\n")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("columns", [48, 60, 80])
def test_lines_fit_unless_they_are_one_word(words, columns):
    lines = lines_of(words, columns)
    assert lines != [""]
    long = [line for line in lines if cells(line) > columns and " " in line.strip()]
    # The quoted line of a patch is shown as it is.
    assert [line for line in long if not line.startswith("    +")] == []


def test_a_pipe_has_a_line_for_each_finding():
    words = [sys.executable, "-m", "xensave", "review", "examples/reserve-v1.mbox"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert errors
    assert all(line.endswith("]") for line in errors)
