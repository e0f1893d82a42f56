"""Print the table and write it as JSON: `python -m bench --size 8G --json bench.json`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.inputs import make, size_of
from bench.rates import rates
from bench.rows import Row, rows
from bench.timing import side_by_side


def main() -> None:
    """Measure every row."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", type=size_of, default="8G", help="of the sparse image (8G)")
    parser.add_argument("--dense", type=size_of, default="4G", help="of the image on disk (4G)")
    parser.add_argument("--runs", type=int, default=5, help="of each command (5)")
    parser.add_argument("--folder", help="where the images go; they are removed at the end")
    parser.add_argument("--verify-stream-v2", metavar="PATH", help="the script of a Xen checkout")
    parser.add_argument("--only", help="rows whose name begins so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        inputs = make(Path(folder), args.size, args.dense, args.verify_stream_v2)
        measured = _processes(rows(inputs), args.runs, args.only)
    inside = [] if args.only else [rate._asdict() for rate in rates(args.runs)]
    for rate in inside:
        print(f"{rate['name']}: {rate['a_second']:,.0f} a second (goal {rate['goal']:,})")
    if args.json:
        args.json.write_text(json.dumps({"processes": measured, "rates": inside}, indent=1) + "\n")


def _processes(
    chosen: Iterable[Row], runs: int, only: str | None
) -> list[dict[str, str | float | None]]:
    print(
        f"{'row':<22}{'seconds':>9}{'MiB':>7}  {'against':<18}{'seconds':>9}{'ratio':>8}{'goal':>7}"
    )
    measured = []
    for row in chosen:
        if only and not row.name.startswith(only):
            continue
        ours, theirs = side_by_side([row.command, row.against], runs)
        ratio = ours.wall / theirs.wall
        print(
            f"{row.name:<22}{ours.wall:>9.3f}{ours.peak:>7.0f}  {row.versus:<18}"
            f"{theirs.wall:>9.3f}{ratio:>8.3f}{row.goal:>7.2f}",
            flush=True,
        )
        measured.append(
            {
                "row": row.name,
                "seconds": ours.wall,
                "peak_mib": ours.peak,
                "against": row.versus,
                "against_seconds": theirs.wall,
                "ratio": ratio,
                "goal": row.goal,
            }
        )
    return measured


main()
