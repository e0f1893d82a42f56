"""Every command in the README and the docs runs, and prints what the page says it prints.

A fenced block marked `console` holds commands after `$ ` and what they print; `...` in the output
stands for anything. `console needs=NAME` runs only where the environment sets NAME.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```console(?: needs=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1], match[2], id=f"{page.relative_to(ROOT).as_posix()}:{line}")


def commands(block):
    """Yield (command, expected output); a line that ends in a backslash goes on."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n", part)
        assert match, part
        yield match[1], part[match.end() :]


def pattern(expected):
    lines = [re.escape(line.rstrip()).replace(r"\.\.\.", ".*?") for line in expected.splitlines()]
    return re.compile(r"\n".join(lines) + r"\n?", re.DOTALL)


PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def printed_by(command, folder, *, timeout=None, **environment):
    """Run a command in a folder, and return what it prints."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": PATH, "COLUMNS": "100", "NO_COLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize(("needs", "block"), list(blocks()))
def test_commands_print_what_the_page_says(needs, block, tmp_path):
    if needs and needs not in os.environ:
        pytest.skip(f"{needs} is not set")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for command, expected in commands(block):
        printed = printed_by(command, tmp_path)
        assert pattern(expected).fullmatch(printed), f"$ {command}\n{printed}"
