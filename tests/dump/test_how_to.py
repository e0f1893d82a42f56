"""The commands of the page about memory run, with each tool that is there, on a real guest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import BLOCK, ROOT, commands, pattern

PAGE = ROOT / "docs/how-to/memory.md"
TOOLS = ("drgn", "gdb", "vol", "crash")
BLOCKS = [
    (match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text()) if match[1] is not None
]

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(command, folder):
    environment = {**os.environ, "PATH": PATH, "COLUMNS": "100", "NO_COLOR": "1"}
    environment["PYTHONPATH"] = (
        f"{folder / 'without'}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=200,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "block",
    [block for _, block in BLOCKS],
    ids=[block.splitlines()[0][2:40] for _, block in BLOCKS],
)
def test_commands_print_what_the_page_says(block, folder):
    for command, expected in commands(block):
        words = command.replace("|", " ").replace("'", " ").split()
        for tool in TOOLS:
            if tool in words and shutil.which(tool, path=PATH) is None:
                pytest.skip(f"needs {tool}")
        printed = run(command, folder)
        assert pattern(expected).fullmatch(printed), f"$ {command}\n{printed}"
