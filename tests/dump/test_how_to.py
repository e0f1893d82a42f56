"""The commands of the page about memory run, with each tool that is there, on a real guest."""

import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory import samples
from tests.test_docs import BLOCK, ROOT, commands, pattern

PAGE = ROOT / "docs/how-to/memory.md"
TOOLS = ("drgn", "gdb", "vol", "crash")
BLOCKS = [
    (match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text()) if match[1] is not None
]

SCRIPT = """\
from drgn.helpers.linux.pid import find_task, for_each_task
for task in for_each_task(prog):
    if task.mm:
        print(task.pid.value_(), task.comm.string_().decode())
print([frame.name for frame in prog.stack_trace(find_task(prog, 1))][:3])
"""

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    (folder / "guest.img").write_bytes(samples.shared_bytes(samples.PAIR))
    (folder / "kaslr.img").write_bytes(samples.pair_bytes("pvh-kaslr.img.zst"))
    (folder / "vmlinux").write_bytes(samples.vmlinux())
    (folder / "tasks.py").write_text(SCRIPT)
    shared = samples.SHARED / "memory"
    shutil.copy(shared / "rig-kernel.vmcoreinfo.txt", folder / "vmcoreinfo.txt")
    symbols = json.loads(lzma.decompress((shared / "rig-kernel.isf.json.xz").read_bytes()))
    for name in ("inet_sock", "unix_sock"):
        symbols["user_types"].setdefault(name, {"kind": "struct", "size": 0, "fields": {}})
    (folder / "symbols" / "linux").mkdir(parents=True)
    (folder / "symbols" / "linux" / "kernel.json").write_text(json.dumps(symbols))
    return folder


def run(command, folder):
    environment = {**os.environ, "PATH": PATH, "COLUMNS": "100", "NO_COLOR": "1"}
    # Where there is no cache of them volatility3 validates the symbols for most of a minute.
    environment["PYTHONPATH"] = f"{folder / 'without'}{os.pathsep}{environment['PYTHONPATH']}"
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


@pytest.fixture(autouse=True)
def without_jsonschema(folder, monkeypatch):
    """Let volatility3 find no jsonschema, with which it validates the symbols for a minute."""
    (folder / "without").mkdir(exist_ok=True)
    (folder / "without" / "jsonschema.py").write_text("raise ImportError('left out')\n")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))


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
