"""`xensave cost`: what a larger maximum costs a hypervisor."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.answer import print_answer
from xensave.cli.options import number, space
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Say what a larger HVM_SAVE_CODE_MAX costs a release: bytes of handler table, and loop "
    "iterations of each pass of a save; and what a sparse table would take."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--release", metavar="R", help="the release (the newest)")
    parser.add_argument(
        "--max",
        metavar="N",
        type=number,
        required=True,
        help="the maximum, in decimal or as 0x4100",
    )
    space(
        parser,
        "another number space that a limit bounds (hvm-param, elf-note): --max is the limit",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Counts, and prints."""
    from xensave.catalogue import newest_series
    from xensave.numbers.cost import cost, space_cost
    from xensave.views.catalogue import numbers, spaces

    release, width = args.release or newest_series(), width_of(sys.stdout)
    if args.space:
        limit = space_cost(args.space, release, args.max)
        print_answer(args, spaces.cost_object(limit), spaces.cost_lines(limit, width))
    else:
        table = cost(release, args.max)
        print_answer(args, numbers.cost_object(table), numbers.cost_lines(table, width))
    return 0
