"""Measure a fleet: `python -m bench.fleet` scans 10,000 names and asks the table.

The names are hard links of 100 distinct sparse images of 1 GiB: what is measured is the reading of
heads and tails, the verdicts and the table, not the disk. With moto installed, the requests and
bytes of a scan of S3 are counted too.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from xensave.fleet.pool import ProcessPool
from xensave.fleet.query import ask, question
from xensave.fleet.scan import Question, scan
from xensave.source import open_source, read_all
from xensave.testing.sparse import write_sparse_image

DISTINCT = 100
ASKED = Question(("4.20.2",))
SAMPLE = Path(__file__).parents[1] / "examples" / "hvm1.img.zst"


def main() -> None:
    """Print a line for each number."""
    parser = argparse.ArgumentParser(prog="bench.fleet", description=__doc__)
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--folder", help="where the images go; they are removed at the end")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        images = Path(folder) / "images"
        _make(images, args.names)
        rates = {jobs: _scan(images, Path(folder), jobs, args.names) for jobs in (1, 2)}
        print(f"two workers are {rates[2] / rates[1]:.2f} times one (goal 1.8)")
        _pipeline(images, Path(folder), args.names)
    with contextlib.suppress(ImportError):
        _store()


def _make(images: Path, names: int) -> None:
    images.mkdir()
    for number in range(DISTINCT):
        first = images / f"{number:03}-00000.img"
        write_sparse_image(first, 1 << 30, vcpus=1 + number % 4)
        for link in range(1, names // DISTINCT):
            os.link(first, images / f"{number:03}-{link:05}.img")


def _scan(images: Path, folder: Path, jobs: int, names: int) -> float:
    start, used = time.perf_counter(), time.process_time() + _children()
    scan([str(images)], str(folder / f"{jobs}.parquet"), ASKED, ProcessPool(ASKED, jobs))
    seconds, processor = time.perf_counter() - start, time.process_time() + _children() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    # Workers are children of the server that forks them: their time is not this process's to see.
    alone = f", {names / processor:,.0f} a second of processor time" if jobs == 1 else ""
    print(
        f"scan, {jobs} worker{'s' * (jobs > 1)}: {names / seconds:,.0f} images a second{alone} "
        f"(goal 400), {peak} MiB at the peak"
    )
    return names / seconds


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pipeline(images: Path, folder: Path, names: int) -> None:
    start = time.perf_counter()
    table = str(folder / "fleet.parquet")
    scan([str(images)], table, ASKED, ProcessPool(ASKED, 2))
    rows = ask(table, question("by-reason").sql).rows
    print(f"{names} names to an answer of {len(rows)} rows: {time.perf_counter() - start:.1f} s")


@contextlib.contextmanager
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    # A line for each request would bury the numbers.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _store() -> None:
    """Count the ranges that a scan of S3 asks for."""
    import s3fs

    from xensave.source.remote.addresses import StoreObject
    from xensave.source.remote.store import Store

    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    with _moto() as url, tempfile.TemporaryDirectory() as folder:
        os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
        store = s3fs.S3FileSystem()
        store.mkdir("bench")
        with open_source(str(SAMPLE)) as source:
            data = read_all(source)
        for number in range(20):
            store.pipe_file(f"bench/{number}.img", data)
        ranges: list[int] = []
        fetch = Store.fetch

        def counted(store: Store, of: StoreObject, start: int, end: int) -> bytes:
            ranges.append(end - start)
            return fetch(store, of, start, end)

        Store.fetch = counted
        scan(["s3://bench/*.img"], f"{folder}/s3.parquet", ASKED, ProcessPool(ASKED, 1))
        Store.fetch = fetch
    print(
        f"S3: {len(ranges) / 20:.1f} ranges and {sum(ranges) / 20 / 1024:,.0f} KiB an image "
        "(goal 4 requests, 1,024 KiB)",
        file=sys.stdout,
    )


if __name__ == "__main__":
    main()
