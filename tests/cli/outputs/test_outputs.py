"""What cannot be written is told by its name, and nothing of it is left."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xensave.cli import main

zstandard = pytest.importorskip("zstandard")

HVM, IMAGE = "examples/hvm1.ctx", "examples/hvm1.img.zst"
IMAGE_BYTES = Path(IMAGE).read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "guest.img"
    path.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(IMAGE_BYTES))
    return str(path)


def small_files():
    """A disk that is full after a page, as far as a process can tell."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize(
    "words",
    [
        ["convert", HVM, "OUT.ctx", "--from", "4.17", "-t", "4.17"],
        ["convert", IMAGE, "OUT.img", "-t", "4.17"],
        ["thin", "PLAIN", "OUT.img"],
        ["extract", "PLAIN", "OUT.core"],
        ["edit", HVM, "OUT.ctx", "--set", "CPU[0].rip=1", "-t", "4.17"],
        ["report", HVM, "-o", "OUT.html"],
        ["check", "--plot", "OUT.svg", "-t", "4.17", HVM],
        ["records", "--plot", "OUT.svg"],
        ["review", "--emit-checker", "OUT.py"],
    ],
    ids=lambda words: words[0],
)
def test_a_full_disk_is_told_with_the_files_name(words, tmp_path, plain):
    words = [word.replace("OUT", f"{tmp_path}/OUT").replace("PLAIN", plain) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "xensave", *words],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"{tmp_path}/OUT" in done.stderr
    assert "File too large" in done.stderr
    assert "standard output" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
def test_a_picture_is_the_same_each_time(tmp_path):
    for name in ("a.svg", "b.svg"):
        assert main(["check", "--plot", str(tmp_path / name), "-t", "4.17", HVM]) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_file_is_written_whole_where_proc_is_not_mounted(tmp_path, monkeypatch):
    monkeypatch.setattr("xensave.source.output._PROC_FDS", str(tmp_path / "none"))
    out = tmp_path / "out.ctx"
    assert main(["convert", HVM, str(out), "--from", "4.17", "-t", "4.17", "-q"]) == 0
    assert out.read_bytes() == Path(HVM).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.ctx"]
