"""Print the table and write it as JSON: `python -m bench --size 8G --json bench.json`.

Ratios are medians of pairs that ran side by side, of wall time or of processor time as the row
says. `near` is the ratio in goals: up to 1 the goal is met. `--compare OLD.json` says what moved
beyond the noise: rows of which no figure lies between those of the other run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bench.inputs import make, size_of
from bench.measure import Log, Measured, Rate, measure, moved, read
from bench.rates import rates
from bench.rows import rows


def main() -> None:
    """Measure every row."""
    args = _parser().parse_args()
    log: Log = {"processes": [], "rates": []}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        inputs = make(
            Path(folder), sparse=args.size, walked=args.walked, dense=args.dense,
            verify_stream_v2=args.verify_stream_v2,
        )  # fmt: skip
        print(HEAD, flush=True)
        for row in rows(inputs):
            if not args.only or row.name.startswith(args.only):
                log["processes"].append(measure(row, args.runs))
                print(process_line(log["processes"][-1]), flush=True)
    for rate in [] if args.only else rates(args.runs):
        log["rates"].append(rate)
        print(rate_line(rate), flush=True)
    if args.json:
        args.json.write_text(json.dumps(log, indent=1) + "\n")
    if args.compare:
        for each in moved(read(args.compare), log):
            print(f"moved: {each.line}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", type=size_of, default="8G", help="of the sparse image (8G)")
    parser.add_argument("--walked", type=size_of, default="1T", help="of the one walked (1T)")
    parser.add_argument("--dense", type=size_of, default="4G", help="of the image on disk (4G)")
    parser.add_argument("--runs", type=int, default=5, help="of each command (5)")
    parser.add_argument("--folder", help="where the images go; they are removed at the end")
    parser.add_argument("--verify-stream-v2", metavar="PATH", help="the script of a Xen checkout")
    parser.add_argument("--only", help="rows whose name begins so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="a FILE of an earlier run")
    return parser


HEAD = (
    f"{'row':<20}{'wall':>8}{'proc.':>8}{'MiB':>5}  {'against':<18}{'wall':>8}{'proc.':>8}"
    f"{'ratio':>7}{'goal':>6}{'near':>6}"
)


def process_line(row: Measured) -> str:
    """Return a row as a line: seconds of wall and processor time, ours and theirs."""
    mark = "p" if row["of"].startswith("processor") else "w"
    return (
        f"{row['row']:<20}{row['seconds']:>8.3f}{row['processor']:>8.3f}{row['peak_mib']:>5.0f}"
        f"  {row['against']:<18}{row['against_seconds']:>8.3f}{row['against_processor']:>8.3f}"
        f"{row['ratio']:>6.3f}{mark}{row['goal']:>6.2f}{row['near']:>6.2f}"
    )


def rate_line(rate: Rate) -> str:
    """Return a rate as a line."""
    return (
        f"{rate['row']}: {rate['a_second']:,.0f} a second of processor time "
        f"(goal {rate['goal']:,.0f}, near {rate['near']:.2f})"
    )


if __name__ == "__main__":
    main()
