"""`xensave clash`: what two or more sources claim differently."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.answer import print_answer
from xensave.cli.options import space
from xensave.errors import UsageError
from xensave.findings import ERROR, NOTE, WARNING
from xensave.views.text.terminal import coloured, width_of

DESCRIPTION = (
    "Compare what sources claim of the save records' numbers, each with each: the same number "
    "with another name or layout, the same name at another number, a number inside another's "
    "reservation. Exit 1 where they clash."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="a release (4.17), a directory of Xen's headers, GITDIR@REV, an xen-syms file, a"
        " vendor's registry (.toml), or a shipped one by name (amazon); two or more",
    )
    space(parser)
    parser.add_argument(
        "--fail-on",
        choices=(ERROR, WARNING, NOTE),
        default=WARNING,
        help="the severity from which on the exit code is 1",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Reads the sources, compares, and prints; 1 where there is more than a note."""
    from xensave.catalogue.owned import SAVE_RECORD
    from xensave.numbers.clash import find_clashes
    from xensave.numbers.sources import claims_of
    from xensave.views.catalogue.numbers import clash_lines, clash_objects

    if len(args.sources) < 2:
        raise UsageError("it takes two sources or more to clash")
    clashes = find_clashes(
        [claims_of(source, args.space or SAVE_RECORD) for source in args.sources]
    )
    lines = clash_lines(clashes, width_of(sys.stdout), colour=coloured(sys.stdout, args.color))
    print_answer(args, clash_objects(clashes), lines)
    order = (NOTE, WARNING, ERROR)
    least = order.index(args.fail_on)
    return int(any(order.index(clash.severity) >= least for clash in clashes))
