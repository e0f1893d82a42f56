"""Measure `extract` where no page is zero: `python -m bench.extract --folder /dev/shm`.

Each format beside `cp`, in turn. The guest has no kernel that page tables
tell, so that `elf` compares every word of it: a guest with one costs what `raw` does.
"""

from __future__ import annotations

import argparse
import os
import shlex
import tempfile
from pathlib import Path

from bench.__main__ import HEAD, process_line
from bench.inputs import size_of
from bench.measure import measure
from bench.rows import KERNEL, XENSAVE, Row
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.source import open_source
from xensave.testing.sparse import write_sparse_image

FORMATS = ("raw", "lime", "core", "elf")


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(prog="bench.extract", description=__doc__)
    parser.add_argument("--size", type=size_of, default="4G", help="of the image (4G)")
    parser.add_argument("--runs", type=int, default=3, help="of each command (3)")
    parser.add_argument("--folder", help="where the files go; they are removed at the end")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "full.img"
        write_full_image(path, args.size)
        image, out = shlex.quote(str(path)), shlex.quote(f"{folder}/out")
        copied = f"rm -f {out}; cp {image} {out}"
        print(HEAD, flush=True)
        for format in FORMATS:
            ours = f"rm -f {out}; {XENSAVE} extract -q --format {format} {image} {out}"
            row = Row(f"extract, {format}", ours, copied, "cp", 1.1, KERNEL)
            print(process_line(measure(row, args.runs)), flush=True)


def write_full_image(path: Path, size: int) -> None:
    """Write an image whose every page holds more than zeros."""
    write_sparse_image(path, size)
    with open_source(str(path)) as source:
        records = [event for event in walk(source) if event.is_record(LIBXC, libxc.PAGE_DATA)]
        ends = [(event.end, event.length) for event in records]
    data = os.urandom(max((length for _, length in ends), default=0))
    with path.open("r+b") as file:
        for end, length in ends:
            pages = length // (libxc.PAGE_SIZE + 8) * libxc.PAGE_SIZE
            file.seek(end - pages)
            file.write(data[:pages])


if __name__ == "__main__":
    main()
