"""What start-up may import: modules counted, not seconds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xensave
from xensave.testing import streams

ROOT = Path(xensave.__file__).parent
HOUSE = Path(__file__).parents[1] / "docs/explanation/architecture.md"

HEAVY = {
    "argparse",
    "dataclasses",
    "inspect",
    "json",
    "logging",
    "numpy",
    "pathlib",
    "re",
    "typing",
}


def modules_after(code, *argv):
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, *argv], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def path():
    return f"sys.path[:0] = {sys.path!r}\n"


def test_import_xensave_is_cheap():
    assert modules_after(path() + "import xensave") == {"xensave", "__future__"}


def test_version_needs_no_parser():
    code = path() + "from xensave.cli import main; main(['--version'])"
    assert not modules_after(code) & HEAVY


def test_help_needs_no_parser():
    code = path() + "from xensave.cli import main; main(['--help'])"
    assert not modules_after(code) & HEAVY


def test_show_stays_light():
    code = path() + "from xensave.cli import main; main(['show', 'examples/hvm1.ctx'])"
    heavy = HEAVY - {"argparse", "json", "re", "typing"}
    loaded = {name.split(".")[0] for name in modules_after(code)}
    assert "xensave" in loaded
    assert not loaded & (heavy | {"rich", "clang", "capstone", "elftools", "matplotlib"})


def commanded(*words):
    return modules_after(path() + f"from xensave.cli import main; main({list(words)})")


STREAMS = {
    f"xensave.{name}"
    for name in (
        "container.frames",
        "container.runs",
        "container.streams.legacy",
        "container.streams.libxc_records",
        "container.streams.libxl",
        "container.streams.qemu",
        "image.facts.pages",
        "image.facts.stream",
        "image.glance",
        "records.codec",
        "rules",
        "source.compression.compressed",
        "source.remote.addresses",
        "views.text.progress",
    )
}
"""What reads streams, or other inputs than a file as it is."""


def test_a_context_is_shown_without_what_it_does_not_need():
    show = commanded("show", "examples/hvm1.ctx")
    assert "xensave.container.streams.hvm" in show
    assert not show & (STREAMS | {"tempfile", "glob", "xensave.catalogue.model"})
    assert len([name for name in show if name.startswith("xensave")]) <= 55


def test_a_context_is_judged_without_what_it_does_not_need():
    check = commanded("check", "examples/hvm1.ctx", "--target", "4.17")
    assert "xensave.engine.loop.load" in check
    others = {"xensave.toolstack.restore", "xensave.engine.pv", "xensave.policy.hostfile"}
    assert not check & (STREAMS | others | {"tempfile", "glob"})
    assert not check & {"dataclasses", "inspect", "email", "importlib.metadata", "numpy"}
    assert len([name for name in check if name.startswith("xensave")]) <= 107


def test_an_image_is_shown_without_formats_that_it_is_not_of():
    show = commanded("show", "examples/hvm1.img.zst")
    formats = {f"xensave.container.frames.{name}" for name in ("libvirt", "xend", "xenopsd")}
    assert "xensave.image.facts.stream" in show
    assert not show & (formats | {"xensave.container.streams.legacy", "tempfile", "numpy"})


def test_an_image_is_judged_without_the_rules_of_other_guests_and_formats():
    check = commanded("check", "examples/hvm1.img.zst", "--target", "4.17")
    formats = {f"xensave.container.frames.{name}" for name in ("libvirt", "xend", "xenopsd")}
    assert "xensave.toolstack.restore" in check
    assert not check & {*formats, "xensave.engine.pv", "xensave.container.streams.legacy"}
    assert not check & {"dataclasses", "pathlib", "tempfile", "numpy"}


def test_an_image_is_converted_without_what_its_output_does_not_need(tmp_path):
    out = str(tmp_path / "out")
    convert = commanded("convert", "examples/hvm1.img.zst", out, "--target", "4.16", "--allow-loss")
    assert "xensave.source.output" in convert
    assert not convert & {"dataclasses", "inspect", "pathlib", "tempfile", "numpy"}


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["show", "examples/hvm1.ctx"], 10),
        (["check", "examples/hvm1.ctx", "--target", "4.17"], 12),
        (["verify", "examples/hvm1.ctx"], 12),
    ],
)
def test_few_annotations_are_compiled(words, most):
    # A NamedTuple compiles each annotation that is text, as `from __future__ import annotations`
    # makes all of them: the modules that these commands need do without.
    code = f"""
import builtins, typing
compiled, compile_ = [], builtins.compile
typing.compile = lambda text, *rest: compiled.append(text) or compile_(text, *rest)
from xensave.cli import main
main({words})
assert 0 < len(compiled) <= {most}, (len(compiled), compiled)
"""
    modules_after(path() + code)


def late_imports(path):
    """The modules of Python's own and of xensave's that a module's functions import."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    yield (node.module or "").split(".")[0]
                elif isinstance(node, ast.Import):
                    yield from (alias.name.split(".")[0] for alias in node.names)


def test_only_files_of_the_table_import_late():
    [part] = re.findall(
        r"^## What start-up may cost\n(.*)", HOUSE.read_text(), re.DOTALL | re.MULTILINE
    )
    rows = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    table = {name for row in rows for name in re.findall(r"`([\w./]+\.py)`", row)}
    late = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if {"xensave", *sys.stdlib_module_names} & set(late_imports(path))
    }
    late = {name for name in late if not name.startswith("cli/")}
    assert not late - table, "import at the top, or name the file and its gain in the table"
    assert not table - late, "the table names files that import nothing late"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc")
def test_numpy_starts_no_threads(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(streams.hvm_image("4.17", pages=64))
    words = ["diff", str(image), str(image)]
    code = f"""
import os, threading
os.environ.pop("OPENBLAS_NUM_THREADS", None)
from xensave.cli import main; main({words})
assert "numpy" in sys.modules
print(len(os.listdir("/proc/self/task")) - threading.active_count())
"""
    script = f"import sys; {path()}{code}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
