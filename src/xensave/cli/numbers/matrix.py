"""`xensave matrix`: release by release, what a typical guest of one meets on another."""

from __future__ import annotations

import argparse

from xensave.cli.answer import print_matrix

DESCRIPTION = (
    "Show what a typical guest of each release meets on each: it restores, restores with records"
    " extended or converted, or is refused at a record. Every cell is the engine's verdict on a"
    " context made from the catalogue."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--type", choices=["hvm", "pvh"], default="hvm", help="the guest's type")
    parser.add_argument(
        "--context",
        action="store_true",
        help="judge the HVM context alone, not the stream's version",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the table (SVG, PNG or PDF)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints or draws the matrix."""
    from xensave.toolstack.releases.matrix import release_matrix

    table = release_matrix(args.type, stream=not args.context)
    print_matrix(args, table, text=not args.plot)
    return 0
