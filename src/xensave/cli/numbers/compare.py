"""`xensave compare`: all that changed for saved guests between two releases."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.answer import print_answer
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Say all that changed for a saved guest between two releases: records and layouts, how they "
    "load, rules that begin or end, CPU policies, stream versions, and every numbered ABI. A "
    "series stands for its newest point release; what changed on the way there is listed too. "
    "Exit code: 0 nothing changed, 1 something did."
)
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("old", metavar="OLD", help="a release, as 4.17 or 4.17.3")
    parser.add_argument("new", metavar="NEW", help="the release to hold beside it")
    parser.add_argument("--only", metavar="KIND", action="append", help="one kind (layout, ...)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Compares, and prints."""
    from xensave.toolstack.releases.compare import compare
    from xensave.views.catalogue.releases import difference_lines

    differences = [
        each for each in compare(args.old, args.new) if not args.only or each.kind in args.only
    ]
    lines = difference_lines(differences, width_of(sys.stdout))
    print_answer(args, [each._asdict() for each in differences], lines)
    return int(bool(differences))
