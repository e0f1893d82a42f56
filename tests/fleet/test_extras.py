"""Each package that is missing is told in one wording, with the extra that brings it."""

import subprocess
import sys

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

SHOW, SCAN = ["show"], ["scan", "-t", "4.17", "-o", "fleet.parquet", "none"]


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("fsspec", "s3", [*SHOW, "s3://b/k"]),
        ("fsspec", "gs", [*SHOW, "gs://b/k"]),
        ("fsspec", "http", [*SHOW, "https://h/k"]),
        ("fsspec", "sftp", [*SHOW, "sftp://h/k"]),
        ("s3fs", "s3", [*SHOW, "s3://b/k"]),
        ("gcsfs", "gs", [*SHOW, "gs://b/k"]),
        ("aiohttp", "http", [*SHOW, "http://h/k"]),
        ("paramiko", "sftp", [*SHOW, "ssh://h/k"]),
        ("pyarrow", "fleet", SCAN),
        ("pyarrow", "fleet", ["query", "fleet.parquet", "--by-reason"]),
        ("duckdb", "fleet", ["query", "fleet.parquet", "--by-reason"]),
        ("duckdb", "fleet", ["plan", "fleet.parquet", "-t", "4.17"]),
        ("distributed", "dask", [*SCAN, "--dask", "tcp://h:1"]),
        ("jinja2", "report", ["report", "examples/pvh1.ctx"]),
        ("jinja2", "report", ["report", "fleet.parquet"]),
    ],
)
def test_what_is_missing(package, extra, words, tmp_path):
    code = (
        f"import sys; sys.modules[{package!r}] = None; from xensave.cli import main;"
        f" sys.exit(main({words!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    said = f" needs {package}, which is not installed: pip install 'xensave[{extra}]'"
    assert line.lower().endswith(said.lower())
