"""Which tool opens which format, of a PVH and a PV guest: every cell of the table in the docs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory import samples
from xensave.dump import DumpFormat, Options, extract

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "image" / "extract.md"
GUESTS = {"pvh": samples.PAIR, "pv": samples.PV}
pytestmark = pytest.mark.slow


def table():
    """The cells of the page's table by format and tool."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith(("| `", "| format |"))
    ]
    head, *body = rows
    return {
        (DumpFormat(re.findall(r"`(\w+)`", row[0])[0]), tool): cell
        for row in body
        for tool, cell in zip(head[2:], row[2:], strict=True)
    }


CELLS = table()


def opens(cell, guest):
    """Whether a cell says that the tool opens that guest's file."""
    return bool(cell) and not (guest == "pv" and "not of a PV guest" in cell)


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """A guest's memory in a format, extracted once."""
    made = {}
    info = (samples.SHARED / "memory/rig-kernel.vmcoreinfo.txt").read_bytes()

    def dump(guest, format):
        if (guest, format) not in made:
            path = tmp_path_factory.mktemp(guest) / f"guest.{format}"
            with samples.shared_image(GUESTS[guest]) as image:
                extract(image, str(path), format, Options(info))
            made[guest, format] = path
        return made[guest, format]

    return dump


def run(*words, stdin="", **environment):
    done = subprocess.run(
        list(map(str, words)),
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )
    return done.stdout


def gdb(path, folder):
    core = ["-ex", "info files", "-ex", "p init_task.comm", "-ex", "info registers rip"]
    printed = run("gdb", "-batch", "-nx", folder / "vmlinux", path, *core)
    return "swapper/0" in printed and bool(re.search(r"^rip +0xffffffff8", printed, re.MULTILINE))


def drgn(path, folder):
    script = "print('pid', prog['init_task'].pid.value_(), prog['linux_banner'].string_())"
    drgn = shutil.which("drgn", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return "Linux version" in run(drgn, "-q", "-c", path, "-s", folder / "vmlinux", "-e", script)


def crash(path, folder):
    words = ("--no_kmem_cache", "-s", folder / "vmlinux")
    name = f"{path}@0" if path.suffix == ".raw" else path
    return "start_kernel" in run("crash", *words, name, stdin="bt 0\nquit\n")


def volatility3(path, folder):
    vol = Path(sys.executable).parent / "vol"
    words = ("--offline", "-q", "-r", "json", "-s", folder / "symbols", "-f", path)
    paths = f"{folder / 'without'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    (folder / "cache").mkdir(exist_ok=True)
    cache = ("--cache-path", folder / "cache")
    printed = run(vol, *words, *cache, "linux.pslist.PsList", PYTHONPATH=paths)
    return "init" in {each["COMM"] for each in json.loads(printed or "[]")}


def libkdumpfile(path, _folder):
    script = (
        "import kdumpfile, sys\n"
        "dump = kdumpfile.kdumpfile(sys.argv[1])\n"
        "print(bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, 0x1844580, 13)))\n"
    )
    return "Linux version" in run("/usr/bin/python3", "-c", script, path, PYTHONPATH="")


def needs_libkdumpfile():
    if run("/usr/bin/python3", "-c", "import kdumpfile; print(1)", PYTHONPATH="") != "1\n":
        pytest.skip("needs python3-libkdumpfile")


@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize(("format", "tool"), CELLS, ids=str)
def test_a_cell(format, tool, guest, dumps, folder):
    if tool == "libkdumpfile":
        needs_libkdumpfile()
    elif tool in {"gdb", "crash"} and shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    elif tool in {"drgn", "volatility3"}:
        pytest.importorskip(tool)
    ask = {each.__name__: each for each in (gdb, drgn, crash, volatility3, libkdumpfile)}[tool]
    assert ask(dumps(guest, format), folder) == opens(CELLS[format, tool], guest)
