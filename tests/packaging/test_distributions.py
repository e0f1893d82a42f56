"""The wheel works in an environment of its own, and the source distribution tests itself."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.source.archives import take_out
from xensave import __version__

ROOT = Path(__file__).parents[2]
pytest.importorskip("build")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not a source tree"),
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build both from a copy: setuptools writes into the tree that it builds."""
    tree = tmp_path_factory.mktemp("tree") / "xensave"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, names.stdout.decode().split("\0")):
        source, target = ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    out = tmp_path_factory.mktemp("dist")
    call = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    subprocess.run(call, check=True, capture_output=True)
    return out


def test_twine_has_no_complaint(dist):
    pytest.importorskip("twine")
    files = sorted(str(path) for path in dist.iterdir())
    assert len(files) == 2
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_works_where_nothing_else_is(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env/bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    # What it depends on comes from here, after the environment's own packages.
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    (site / "deps.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*words):
        return subprocess.run(
            [str(tmp_path / "env/bin/xensave"), *words],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=True,
        ).stdout

    where = subprocess.run(
        [python, "-c", "import xensave; print(xensave.__file__)"],
        capture_output=True, text=True, env=environment, cwd=tmp_path, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(site))
    assert run("--version") == f"xensave {__version__}\n"
    image = str(ROOT / "examples/hvm1.img.zst")
    assert "hvm1, HVM, 1 vCPU" in run("show", image)
    assert ": valid:" in run("verify", image)
    assert "restores" in run("check", image, "-t", "4.17")
    assert '"$id"' in (site / "xensave/views/data/check.schema.json").read_text()
    assert (tmp_path / "env/share/man/man1/xensave-show.1").exists()
    assert (tmp_path / "env/share/bash-completion/completions/xensave").exists()


def test_the_wheel_has_every_file_of_the_package(dist):
    (wheel,) = dist.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("xensave/")}
    tree = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/xensave").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tree - inside == set()


def test_the_source_distribution_tests_itself(dist, tmp_path):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        take_out(tar, tmp_path)
    (tree,) = tmp_path.iterdir()
    for name in (
        "tests/conftest.py",
        "tests/data",
        "examples/hvm1.ctx",
        "docs/index.md",
        "Makefile",
    ):
        assert (tree / name).exists()
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/test_layers.py", "tests/image/test_context.py", "tests/records",
         "tests/cli/test_run.py"],
        cwd=tree, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
