"""Killed at any moment, a command leaves the old file under the name, none, or the whole new one.

`make kills` kills each command at 200 moments, the suite at a few.
"""

import os
import random
from pathlib import Path

import pytest

from tests.source.moments import killed, undisturbed
from xensave.source import open_source
from xensave.testing import streams
from xensave.testing.streams import restorable_context

MOMENTS = int(os.environ.get("XENSAVE_KILLS", "4"))
SAMPLE = Path(__file__).parents[2] / "examples" / "hvm1.img.zst"
OLD = b"what was there before"
IMAGES = 6
PAGES = 256
"""A few: xz takes its time, and the sample's would take it ten times that."""


def commands(folder):
    """Return the words of each command, the last but one or the last of which is OUT."""
    return {
        "extract": ["extract", str(SAMPLE), f"{folder}/guest.elf"],
        "edit": ["edit", str(SAMPLE), f"{folder}/guest.img", "--set", "TSC.nsec=0", "--force"],
        "convert": ["convert", str(SAMPLE), f"{folder}/guest.img.zst", "--target", "4.16"],
        "convert-xz": ["convert", dense(folder), f"{folder}/guest.img.xz", "--target", "4.16"],
    }


def dense(folder):
    """Return the path of an image that no compressor makes smaller, so that output is steady."""
    chance = random.Random(1)
    pages = (streams.page_data([pfn], chance.randbytes(4096)) for pfn in range(PAGES))
    stream = streams.libxc_stream(b"".join(pages) + streams.hvm_tail("4.17"))
    path = folder / "dense.img"
    path.write_bytes(streams.xl_image(streams.libxl_stream(stream)))
    return str(path)


def contents(path):
    """Return a file's bytes, decompressed: what threads of a compressor do may differ."""
    with open_source(str(path)) as source:
        return b"".join(iter(lambda: bytes(source.read(len(source.peek(1 << 16)))), b""))


@pytest.mark.parametrize("name", ["extract", "edit", "convert", "convert-xz"])
def test_never_a_partial_file_under_its_name(tmp_path, name):
    words = commands(tmp_path)[name]
    out = Path(words[2])
    run = undisturbed(words)
    whole = contents(out)
    for turn, moment in enumerate(run.moments(MOMENTS)):
        out.write_bytes(OLD) if turn % 2 else out.unlink(missing_ok=True)
        assert killed(words, moment), f"it ended before {moment}"
        if out.exists():
            found = out.read_bytes()
            assert (turn % 2 and found == OLD) or contents(out) == whole


def test_a_scan_that_was_killed_goes_on(tmp_path):
    pytest.importorskip("pyarrow")
    from xensave.fleet.query import ask

    folder, table = tmp_path / "images", tmp_path / "fleet.parquet"
    folder.mkdir()
    for number in range(IMAGES):
        (folder / f"{number}.ctx").write_bytes(restorable_context("4.17"))
    words = ["scan", str(folder), "-o", str(table), "--target", "4.17", "--jobs", "1"]
    run = undisturbed(words)
    for moment in run.moments(MOMENTS):
        table.unlink(missing_ok=True)
        assert killed(words, moment), f"it ended before {moment}"
        if table.exists():
            assert ask(str(table), "select address from fleet").rows
        undisturbed(words)
        assert len(ask(str(table), "select address from fleet").rows) == IMAGES
