"""Bulk, compressed and sparse output of `xensave convert`, and what is kept off a terminal."""

import bz2
import gzip
import json
import lzma
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from xensave.cli import main
from xensave.source import open_source, read_all

EXAMPLES = Path(__file__).parents[3] / "examples"
IMAGE = EXAMPLES / "hvm1.img.zst"
CONTEXT = EXAMPLES / "hvm1.ctx"
TO = ["--target", "4.17", "--from", "4.17"]


def plain():
    with open_source(str(IMAGE)) as source:
        return read_all(source)


UNPACK = {
    "zst": lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(),
    "gz": gzip.decompress,
    "xz": lzma.decompress,
    "bz2": bz2.decompress,
}


@pytest.mark.parametrize("suffix", UNPACK)
def test_the_name_of_the_output_says_how_it_is_compressed(suffix, tmp_path, capsys):
    out = tmp_path / f"out.img.{suffix}"
    assert main(["convert", str(CONTEXT), str(out), *TO]) == 0
    assert UNPACK[suffix](out.read_bytes()) == CONTEXT.read_bytes()


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("zstd", "zst"), ("zstd:19", "zst"), ("gzip:1", "gz"), ("xz:0", "xz"), ("bzip2:1", "bz2")],
)
def test_the_compression_that_is_asked_for(method, suffix, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["convert", str(CONTEXT), str(out), *TO, "--compress", method]) == 0
    assert UNPACK[suffix](out.read_bytes()) == CONTEXT.read_bytes()
    assert main(["verify", str(out)]) == 0


def test_an_image_is_compressed_whole(tmp_path, capsys):
    out = tmp_path / "out.zst"
    assert main(["convert", str(IMAGE), str(out), "-t", "4.17"]) == 0
    assert UNPACK["zst"](out.read_bytes()) == plain()
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("method", ["zip", "zstd:99", "zstd:x", "gzip:0", "zstd:-1", ""])
def test_what_is_no_compression(method, tmp_path, capsys):
    assert main(["convert", str(CONTEXT), str(tmp_path / "o"), *TO, f"--compress={method}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_none_writes_plain_under_any_name(tmp_path, capsys):
    out = tmp_path / "out.zst"
    assert main(["convert", str(CONTEXT), str(out), *TO, "--compress", "none"]) == 0
    assert out.read_bytes() == CONTEXT.read_bytes()


def test_a_full_disk_is_told_while_compressing(capsys):
    words = ["convert", str(IMAGE), "/dev/full", "-t", "4.17", "--compress", "zstd"]
    done = subprocess.run(
        [sys.executable, "-m", "xensave", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


def test_zeros_of_compressed_input_become_holes(tmp_path, capsys):
    data = plain()
    at = data.index(bytes(4096 * 8))
    assert at > 0
    out = tmp_path / "out.img"
    assert main(["convert", str(IMAGE), str(out), "-t", "4.17"]) == 0
    assert out.read_bytes() == data
    assert out.stat().st_size == len(data)
    assert out.stat().st_blocks * 512 < len(data) // 2


def test_many_images_go_into_a_directory(tmp_path, capsys):
    results = tmp_path / "results"
    results.mkdir()
    words = [str(EXAMPLES / "*.ctx"), str(IMAGE), str(tmp_path / "none"), str(results)]
    assert main(["convert", *words, *TO]) == 2
    out, err = capsys.readouterr()
    assert sorted(path.name for path in results.iterdir()) == [
        "hvm1.ctx",
        "hvm1.img.zst",
        "pvh1.ctx",
    ]
    assert UNPACK["zst"]((results / "hvm1.img.zst").read_bytes()) == plain()
    assert (results / "hvm1.ctx").read_bytes() == CONTEXT.read_bytes()
    assert out.splitlines()[-1] == "4 images: 3 converted, 1 not read"
    assert f"{tmp_path}/none: No such file" in err


def test_names_follow_the_compression_that_is_asked_for(tmp_path, capsys):
    assert main(["convert", str(EXAMPLES), str(tmp_path), *TO, "--compress", "xz:0", "-q"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "hvm1.ctx.xz",
        "hvm1.img.xz",
        "pvh1.ctx.xz",
    }
    assert lzma.decompress((tmp_path / "hvm1.img.xz").read_bytes()) == plain()


def test_two_images_of_one_name_do_not_overwrite_each_other(tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "hvm1.ctx").write_bytes(CONTEXT.read_bytes())
    results = tmp_path / "results"
    results.mkdir()
    words = [str(CONTEXT), str(other / "hvm1.ctx"), str(results)]
    assert main(["convert", *words, *TO]) == 2
    assert "another of the images is called hvm1.ctx" in capsys.readouterr().err


def test_several_images_need_a_directory(tmp_path, capsys):
    assert main(["convert", str(CONTEXT), str(CONTEXT), str(tmp_path / "x"), *TO]) == 2
    assert "take a directory" in capsys.readouterr().err


def test_a_dry_run_of_many(tmp_path, capsys):
    words = ["convert", str(EXAMPLES), "--dry-run", "-t", "4.13", "--from", "4.17"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "3 images: 2 can be, 1 refused"
    assert main([*words, "--json"]) == 1
    plans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(plan["input"]).name for plan in plans] == ["hvm1.ctx", "hvm1.img.zst", "pvh1.ctx"]
    assert [plan["refused"] is None for plan in plans] == [True, False, True]


@pytest.mark.parametrize(
    "words",
    [
        ["convert", str(CONTEXT), "-", *TO],
        ["extract", str(IMAGE), "-"],
        ["edit", str(CONTEXT), "-", "--set", "CPU[0].rip=0", "--target", "4.17"],
    ],
    ids=lambda words: words[0],
)
def test_no_image_onto_a_terminal(words):
    ours, theirs = pty.openpty()
    call = [sys.executable, "-m", "xensave", *words]
    done = subprocess.run(call, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "standard output is a terminal" in done.stderr
    assert subprocess.run(call, capture_output=True, check=True).stdout
