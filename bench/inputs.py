"""The files that the rows read: sparse ones, one with its pages on disk, a folder of many."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from bench.rows import Inputs
from xensave.container.events import LIBXC
from xensave.container.runs import SHORTEST_OF_ARRAYS
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.source import open_source
from xensave.testing.sparse import write_sparse_image

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SOURCES = Path(__file__).parent / "c"
FLEET, FLEET_IMAGE = 200, 64 << 20
_BLOCK = 1 << 20


def size_of(text: str) -> int:
    """Read a size such as 8G or 512M.

    >>> size_of("8G") == 8 << 30
    True
    """
    match = re.fullmatch(r"(\d+)([KMGT]?)", text.upper())
    if not match:
        raise ValueError(f"{text!r} is not a size such as 8G")
    return int(match[1]) * UNITS[match[2]]


def make(
    folder: Path, *, sparse: int, walked: int, dense: int, verify_stream_v2: str | None
) -> Inputs:
    """Write the images into a folder; build the C programs, where there is a compiler."""
    inputs = Inputs(
        sparse=_sparse(folder / "sparse.img", sparse),
        terabyte=_sparse(folder / "walked.img", walked),
        dense=folder / "dense.img",
        other=folder / "other.img",
        small=_sparse(folder / "small.img", 1 << 20),
        begun=_sparse(folder / "begun.img", (SHORTEST_OF_ARRAYS + 8) << 22),
        fleet=folder / "fleet",
        first=_first_record(folder / "small.img"),
        out=folder,
        verify_stream_v2=verify_stream_v2,
        walk=_compiled("walk", folder),
        pages=_compiled("pages", folder),
    )
    _dense(inputs, dense)
    _fleet(inputs.fleet)
    if shutil.which("zstd"):
        packed = folder / "dense.img.zst"
        subprocess.run(["zstd", "-q", "-o", packed, inputs.dense], check=True)
    return inputs


def _sparse(path: Path, size: int) -> Path:
    write_sparse_image(path, size)
    return path


def _first_record(path: Path) -> int:
    """Return where the first page record begins; it is the same in each of these images."""
    with open_source(str(path)) as source:
        return next(e.offset for e in walk(source) if e.is_record(LIBXC, libxc.PAGE_DATA))


def _compiled(name: str, folder: Path) -> Path | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = folder / name
    subprocess.run([compiler, "-O2", "-o", program, SOURCES / f"{name}.c"], check=True)
    return program


def _dense(inputs: Inputs, size: int) -> None:
    """Write an image that has its pages on disk, some of them not zero, and a changed copy."""
    holes = _sparse(inputs.out / "holes.img", size)
    with holes.open("rb") as source, inputs.dense.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
    holes.unlink()
    ends = _ends(inputs.dense)
    with inputs.dense.open("r+b") as file:
        for end in ends:
            # An eighth of each record: a guest's memory compresses well, but not to nothing.
            file.seek(end - _BLOCK)
            file.write(os.urandom(_BLOCK // 2))
    shutil.copyfile(inputs.dense, inputs.other)
    with inputs.other.open("r+b") as file:
        file.seek(ends[-1] - libxc.PAGE_SIZE)
        file.write(b"changed")


def _ends(path: Path) -> list[int]:
    """Return where each page record of whole pages ends."""
    with open_source(str(path)) as source:
        events = (e for e in walk(source) if e.is_record(LIBXC, libxc.PAGE_DATA))
        return [event.end for event in events if event.length > 2 * _BLOCK]


def _fleet(folder: Path) -> None:
    folder.mkdir()
    first = _sparse(folder / "000.img", FLEET_IMAGE)
    for number in range(1, FLEET):
        os.link(first, folder / f"{number:03}.img")
