"""The pre-commit hook and the CI recipe, run as the docs give them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xensave.rules.rows import ROWS as RULES

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs/how-to/review-ci.md").read_text()
BIN = str(Path(sys.executable).parent)


def recipe(name):
    return re.search(rf"^```sh {name}\n(.*?)^```$", RECIPES, re.MULTILINE | re.DOTALL)[1]


def hook():
    """The hook's row as a mapping; the file keeps to one `key: value` a line."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    return dict(re.findall(r"^[- ] (\w+): (.*)$", text, re.MULTILINE))


def shell(script, repository, **env):
    path = os.pathsep.join([BIN, os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-c", script],
        cwd=repository.path,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def raised(base):
    return base["header"].replace("CODE_MAX 3", "CODE_MAX 9")


def test_hooks_entry_refuses_what_is_staged_and_wrong(repository, base, raised):
    entry = hook()["entry"]
    repository.write("xen/include/public/hvm/save.h", raised)
    done = shell(entry, repository)
    assert done.returncode == 1, done.stderr
    assert "MAXIMUM_RAISED_FOR_NO_RECORD" in done.stdout
    repository.write("xen/include/public/hvm/save.h", base["header"] + "\n")
    assert shell(entry, repository).returncode == 0


def test_hooks_entry_reads_the_index_not_the_files(repository, base, raised):
    (repository.path / "xen/include/public/hvm/save.h").write_text(raised)
    done = shell(hook()["entry"], repository)
    assert done.returncode == 0
    assert "leaves the save headers as they are" in done.stderr


def test_hook_in_git_refuses_the_commit(repository, raised):
    script = repository.path / ".git" / "hooks" / "pre-commit"
    script.write_text(recipe("hook"))
    script.chmod(0o755)
    repository.write("xen/include/public/hvm/save.h", raised)
    done = shell("git commit -q -m Raise", repository)
    assert done.returncode != 0
    assert "MAXIMUM_RAISED_FOR_NO_RECORD" in done.stdout + done.stderr
    repository.git("reset", "-q", "--hard")
    repository.write("README", "x\n")
    assert shell("git commit -q -m Else", repository).returncode == 0


def test_hook_file_matches_the_headers_and_the_handlers():
    files = re.compile(hook()["files"])
    for name in (
        "xen/include/public/hvm/save.h",
        "xen/include/public/arch-x86/hvm/save.h",
        "xen/arch/x86/hvm/rtc.c",
        "xen/common/hvm/save.c",
    ):
        assert files.search(name)
    assert not files.search("tools/libs/guest/xg_sr_save.c")


@pytest.mark.skipif(shutil.which("pre-commit") is None, reason="pre-commit is not installed")
def test_pre_commit_takes_the_hook_file():
    done = subprocess.run(
        ["pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_ci_recipe_annotates_what_a_branch_adds(repository, raised):
    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("Raise", header=raised)
    done = shell(recipe("ci"), repository, BASE="main")
    assert done.returncode == 1
    assert done.stdout.startswith("::error file=xen/include/public/hvm/save.h,line=22,")
    shell(recipe("sarif"), repository, BASE="main")
    log = json.loads((repository.path / "review.sarif").read_text())
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["MAXIMUM_RAISED_FOR_NO_RECORD"]


def test_ci_recipe_passes_a_branch_about_something_else(repository):
    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("Else", README="x\n")
    done = shell(recipe("ci"), repository, BASE="main")
    assert done.returncode == 0
    assert "leaves the save headers as they are" in done.stderr
    strict = shell(recipe("ci").replace("--if-touched", ""), repository, BASE="main")
    assert strict.returncode == 2


def test_ci_recipe_fails_where_it_cannot_compare(repository):
    done = shell(recipe("ci"), repository, BASE="no-such-branch")
    assert done.returncode == 2
    assert "no-such-branch" in done.stderr


def test_waivers_of_the_repository_count(repository, raised):
    repository.write(
        ".xensave.toml",
        '[[waive]]\nrule = "MAXIMUM_RAISED_FOR_NO_RECORD"\nreason = "room for a series"\n',
    )
    repository.write("xen/include/public/hvm/save.h", raised)
    done = shell(hook()["entry"], repository)
    assert done.returncode == 0
    assert "room for a series" in done.stdout


def test_the_page_lists_every_rule():
    page = (ROOT / "docs/reference/numbers/review.md").read_text()
    for rule in RULES:
        line = f"| {rule.id} | {rule.severity} | {rule.purpose} |"
        assert line in page, "put this line into its table of docs/reference/numbers/review.md"
