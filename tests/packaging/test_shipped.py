"""Manual pages and completions are those of the parsers, and work."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from xensave.cli import COMMANDS, main
from xensave.errors import MissingExtra

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
BIN = str(Path(sys.executable).parent)


def generator(monkeypatch):
    spec = importlib.util.spec_from_file_location("generate", PACKAGING / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("COLUMNS", "100")
    return module


def test_generated_files_are_those_of_the_parsers(monkeypatch):
    made = generator(monkeypatch).files()
    there = {path: path.read_text() for path in made if path.exists()}
    assert [path.name for path in made if made[path] != there.get(path)] == [], "make man"
    assert set((PACKAGING / "man").iterdir()) <= set(made), "these are of no command: take them out"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_formatter_has_no_complaint():
    pages = sorted(str(path) for path in (PACKAGING / "man").glob("*.1"))
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z", *pages], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert len(pages) == len(COMMANDS) + 1, "make man"


def completed(*words):
    """What bash offers for the last of these words."""
    script = f"""
        source {PACKAGING / "completions" / "xensave"}
        COMP_WORDS=({" ".join(repr(word) for word in words)})
        COMP_CWORD={len(words) - 1}
        COMP_LINE="{" ".join(words)}"
        COMP_POINT=${{#COMP_LINE}}
        handler=$(complete -p xensave | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $handler xensave "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_values():
    assert completed("xensave", "ver") == {"verify"}
    assert {"show", "check", "convert"} <= completed("xensave", "")
    assert completed("xensave", "check", "--fail") == {"--fail-on"}
    assert completed("xensave", "check", "--fail-on", "") == {"refused", "depends"}
    assert completed("xensave", "show", "examples/hvm1.c") == {"examples/hvm1.ctx"}


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete")]
)
def test_the_command_prints_what_is_installed(shell, mark, capsys):
    assert main(["completion", shell]) == 0
    assert mark in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = {"zsh": "_xensave", "fish": "xensave.fish"}[shell]
    subprocess.run([shell, "-n", str(PACKAGING / "completions" / file)], check=True)


def test_a_missing_extra_has_one_wording():
    text = str(MissingExtra("drawing", "matplotlib", "plot"))
    assert text == "drawing needs matplotlib, which is not installed: pip install 'xensave[plot]'"
    loose = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if "pip install" in path.read_text() and path.name != "errors.py"
    ]
    assert loose == []


def test_the_strategies_say_which_extra_they_need():
    code = "import sys; sys.modules['hypothesis'] = None; import xensave.testing.strategies"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert "xensave[testing]" in done.stderr.splitlines()[-1]


def test_packages_hold_what_the_program_needs_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = set((PACKAGING / "runtime.txt").read_text().split())
    needed = {re.split(r"[\s;<>=]", text)[0].replace(".", "-") for text in project["dependencies"]}
    assert needed <= runtime
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert runtime <= set(pinned)
    assert (
        (PACKAGING / "debian" / "changelog")
        .read_text()
        .startswith(f"xensave ({project['version']})")
    )


def test_the_package_imports_no_more_than_it_brings():
    """What no extra and no dependency of pyproject.toml names is not there for a user."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [*tables["optional-dependencies"].items()]
    named = [*tables["dependencies"]]
    named += [text for extra, texts in extras if extra not in ("dev", "docs") for text in texts]
    brought = {re.split(r"[\s;<>=\[]", text)[0].lower() for text in named}
    modules = {"elftools": "pyelftools", "clang": "libclang", "compression": "backports.zstd"}
    modules["backports"] = "backports.zstd"
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        if path.name == "script.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0] for name in names}
    others = found - sys.stdlib_module_names - {"xensave", "_typeshed"}
    assert {modules.get(name, name).lower() for name in others} - brought == set()
