"""The files that the rows read: one sparse, one with its pages on disk and in the page cache."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bench.rows import Inputs
from xensave.testing.sparse import write_sparse_image

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_of(text: str) -> int:
    """Read a size such as 8G or 512M."""
    match = re.fullmatch(r"(\d+)([KMGT]?)", text.upper())
    if not match:
        raise ValueError(f"{text!r} is not a size such as 8G")
    return int(match[1]) * UNITS[match[2]]


def make(folder: Path, size: int, dense: int, verify_stream_v2: str | None) -> Inputs:
    """Write the images into a folder."""
    sparse = folder / "sparse.img"
    write_sparse_image(sparse, size)
    holes, full = folder / "holes.img", folder / "dense.img"
    write_sparse_image(holes, dense)
    with holes.open("rb") as source, full.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    holes.unlink()
    return Inputs(sparse, full, folder, verify_stream_v2)
