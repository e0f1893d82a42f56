"""`xensave scan`: many images into a table, from wherever they lie."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from xensave.cli.answer import print_json
from xensave.cli.options import positive
from xensave.views.text.escape import escape
from xensave.views.text.wrap import plural

if TYPE_CHECKING:
    from xensave.fleet.scan import Pool, Question, ScanProgress, ScanResult

DESCRIPTION = (
    "Look at many images and write a row for each into a Parquet table: what it is, and what each"
    " target makes of it. A second run looks only at what is new or changed. Exit 0: every image"
    " could be read; 1: some could not; 2: usage, or a source names nothing; 130: interrupted,"
    " with what was done in the table."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="files, folders, patterns, and addresses such as s3://bucket/**/*.img",
    )
    parser.add_argument("-o", "--output", metavar="TABLE", required=True, help="the table")
    parser.add_argument(
        "-t",
        "--target",
        metavar="R",
        action="append",
        required=True,
        help="a release to ask of each image whether it restores it; may be repeated",
    )
    parser.add_argument("--host", metavar="FILE", help="the host that is restored on (see check)")
    parser.add_argument("--walk", action="store_true", help="read every record of each image")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (one a processor)")
    parser.add_argument("--dask", metavar="SCHEDULER", help="use this Dask cluster's workers")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Scans, and prints the outcome."""
    from xensave.cli import INTERRUPTED
    from xensave.fleet.scan import Question, scan
    from xensave.source.watch import Counted, announce

    question = Question(tuple(dict.fromkeys(args.target)), args.host, args.walk)
    images = Counted("images")
    announce(images)

    def tell(progress: ScanProgress) -> None:
        images.offset, images.size = progress

    result = scan(args.sources, args.output, question, _pool(args, question), tell)
    if args.json:
        print_json(result._asdict(), indent=None)
    else:
        sys.stdout.write(_sentence(args.output, result))
    if not result.ended:
        return INTERRUPTED
    return 1 if result.errors else 0


def _pool(args: argparse.Namespace, question: Question) -> Pool:
    if args.dask:
        from xensave.fleet.cluster import DaskPool

        return DaskPool(question, args.dask)
    if args.jobs == 1:
        from xensave.fleet.serial import SerialPool

        return SerialPool(question)
    from xensave.fleet.pool import ProcessPool

    return ProcessPool(question, args.jobs)


def _sentence(table: str, result: ScanResult) -> str:
    unreadable = f", {result.errors} of them unreadable" if result.errors else ""
    ended = "" if result.ended else "; interrupted: run it again to go on"
    looked_at = f"{result.looked_at} looked at now{unreadable}{ended}"
    return f"{escape(table)}: {result.rows} {plural(result.rows, 'row')}, {looked_at}\n"
