"""A process that can open few files, inputs that fail or never end, names that are no Unicode."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HVM, IMAGE = "examples/hvm1.ctx", "examples/hvm1.img.zst"


def run(*words, limit=None, most=0, **more):
    return subprocess.run(
        [sys.executable, "-m", "xensave", *words],
        preexec_fn=lambda: limit and resource.setrlimit(limit, (most, most)),
        capture_output=True,
        check=False,
        **more,
    )


@pytest.mark.parametrize("files", [5, 6, 7, 8, 12])
@pytest.mark.parametrize("words", [["show", IMAGE], ["scan", HVM, IMAGE, "-t", "4.17"]])
def test_few_files_can_be_opened(words, files, tmp_path):
    if words[0] == "scan":
        pytest.importorskip("pyarrow")
        words = [*words, "-o", f"{tmp_path}/fleet.parquet"]
    done = run(*words, limit=resource.RLIMIT_NOFILE, most=files, text=True)
    if done.returncode:
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "Too many open files" in done.stderr or "no workers could be" in done.stderr
        assert "standard output" not in done.stderr
        assert not list(tmp_path.glob("*.parquet"))
    else:
        assert done.stdout.startswith(("examples", str(tmp_path)))
    assert files > 5 or done.returncode == 2


@pytest.mark.parametrize("command", ["show", "verify", "check", "memory", "report", "policy"])
def test_an_input_that_cannot_be_read_is_named(command):
    words = {"check": ["-t", "4.17"], "policy": ["show"]}.get(command, [])
    done = run(command, *words, "/proc/self/mem", text=True)
    assert done.returncode == 2
    assert done.stderr == f"xensave {command}: /proc/self/mem: Input/output error\n"


@pytest.mark.parametrize("command", ["memory", "report", "extract"])
def test_what_is_no_image_is_not_kept(command, tmp_path):
    out = [f"{tmp_path}/out"] if command == "extract" else []
    done = run(command, "/dev/zero", *out, limit=resource.RLIMIT_FSIZE, most=1 << 20, text=True)
    assert "no Xen save image" in done.stderr
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_names_that_are_no_unicode(locale, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    image, table = (f"{tmp_path}/".encode() + name for name in (b"a\xff\xc3\xa9", b"\xfe\xc3\xa9"))
    shutil.copy(HVM, image)
    names = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env = names | {"PYTHONPATH": str(Path("src").resolve())}
    for looked_at in (1, 0):
        done = run("scan", image, "-t", "4.17", "-o", table, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.endswith(f": 1 row, {looked_at} looked at now\n".encode())
    done = run("query", table, "select address from fleet", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert f"file://{tmp_path}/a%FF%C3%A9".encode() in done.stdout
