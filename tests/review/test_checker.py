"""The checker for Xen's own tree: what it sees, under every Python there is, and no false alarm."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xensave import catalogue
from xensave.cli import main

XEN = os.environ.get("XENSAVE_XEN_GIT")
HEADERS = ("xen/include/public/hvm/save.h", "xen/include/public/arch-x86/hvm/save.h")
FILES = (*HEADERS, "xen/Makefile")
VERMIN = "import vermin; vermin.main()"
MAKEFILE = "export XEN_VERSION = 4\nexport XEN_SUBVERSION = 18\n"


def pythons():
    """Every Python that runs here: of the path, and of pyenv."""
    found = {sys.executable: sys.executable}
    names = ("python2", "python2.7", "python3.6", "python3.8", "python3.13", "python3.14")
    paths = [path for name in names if (path := shutil.which(name))]
    paths += map(str, sorted((Path.home() / ".pyenv/versions").glob("*/bin/python")))
    for path in paths:
        asked = [path, "-c", "import sys; print(sys.version.split()[0])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found.setdefault(done.stdout.strip(), path)
    return list(found.values())


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    path = tmp_path_factory.mktemp("checker") / "check-save-records.py"
    assert main(["review", "--emit-checker", str(path)]) == 0
    return path


def header(release):
    """A header of a release's records: each a struct of bytes, as long as the record."""
    lines = []
    for binding in catalogue.release(release).bindings:
        layout = catalogue.layout(binding.layout)
        if layout.flexible:
            lines.append(f"#define {binding.name}_CODE {binding.typecode}\n")
            continue
        body = f"    uint8_t bytes[{binding.size}];\n" if binding.size else ""
        lines.append(f"struct r{binding.typecode} {{\n{body}}};\n")
        lines.append(
            f"DECLARE_HVM_SAVE_TYPE({binding.name}, {binding.typecode}, "
            f"struct r{binding.typecode});\n"
        )
    return "".join(lines) + "#define HVM_SAVE_CODE_MAX 20\n"


def run(checker, tmp_path, text, python=sys.executable):
    path = tmp_path / HEADERS[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (tmp_path / "xen/Makefile").write_text(MAKEFILE)
    done = subprocess.run(
        [python, str(checker), str(tmp_path)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_release_is_clean(checker, tmp_path):
    assert run(checker, tmp_path, header("4.17")) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("(PIT, 10,", "(PIT, 11,", "PIT moves from 10 to 11"),
        ("(PIT, 10,", "(BELL, 10,", "BELL takes 10, which was PIT"),
        ("CODE_MAX 20", "CODE_MAX 40", "HVM_SAVE_CODE_MAX is 40, and no record has a number above"),
        ("CODE_MAX 20", "CODE_MAX 19", "HVM_SAVE_CODE_MAX is 19, below 20"),
        ("#define CPU_MSR_CODE 20\n", "", "CPU_MSR (20) of Xen 4.17 is gone"),
        ("bytes[1032]", "bytes[1024]", "CPU was 1032 bytes in Xen 4.17 and is 1024"),
        ("(RTC, 11,", "(RTC, 25,", "RTC takes 25, which is kept for Amazon"),
        ("bytes[1032]", "bytes[1000]; struct { int a; }", None),  # it takes a compiler
        ("bytes[1032]", "bytes[1040]", None),  # grown: its load decides
        ("(PIT, 10,", "(PIT, PIT_NUMBER,", "PIT (10) of Xen 4.17 is gone"),
    ],
)
def test_a_fault_is_seen(checker, tmp_path, old, new, says):
    text = header("4.17")
    assert old in text
    code, out, _ = run(checker, tmp_path, text.replace(old, new))
    if says is None:
        assert (code, out) == (0, "")
    else:
        assert code == 1
        assert says in out
        assert all(line.startswith(str(tmp_path)) for line in out.splitlines())


def test_no_headers(checker, tmp_path):
    done = subprocess.run([sys.executable, str(checker), str(tmp_path)], check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("python", pythons())
def test_every_python_says_the_same(checker, tmp_path, python):
    text = header("4.17").replace("(PIT, 10,", "(BELL, 10,")
    assert run(checker, tmp_path, text, python) == run(checker, tmp_path, text)


def test_it_needs_no_newer_python_than_xen_asks_for(checker):
    pytest.importorskip("vermin", reason="no vermin: NOT CHECKED")
    command = [sys.executable, "-c", VERMIN, "-t=2.7-", "-t=3.0-", "--violations", str(checker)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_licence_and_imports(checker):
    text = checker.read_text()
    assert text.splitlines()[1] == "# SPDX-License-Identifier: MIT"
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert imports == [
        "from __future__ import print_function",
        *(f"import {name}" for name in ("io", "os", "re", "sys")),
    ]


@pytest.mark.slow
@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
def test_no_false_alarm_over_the_whole_history(checker, tmp_path):
    """Every tag, and every commit of any branch that touches the headers."""

    def git(*words):
        done = subprocess.run(["git", "-C", XEN, *words], capture_output=True, check=False)
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

    log = git("log", "--all", "--full-history", "--format=%H", "--", *HEADERS).split()
    checked, seen = 0, set()
    for revision in [*log, *git("tag").split()]:
        texts = {path: git("show", f"{revision}:{path}") for path in FILES}
        if not any(texts[path] for path in HEADERS):
            continue
        checked += 1
        if tuple(texts.values()) in seen:
            continue
        seen.add(tuple(texts.values()))
        tree = tmp_path / revision.replace("/", "_")
        for path, text in texts.items():
            if text is not None:
                file = Path(tree, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        command = [sys.executable, str(checker), str(tree)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), revision
    assert checked > 400
