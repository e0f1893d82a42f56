"""`xensave diff`: what differs between two saved guests, or two moments of one."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from xensave.cli.answer import print_json, print_lines
from xensave.cli.options import max_size, repeated
from xensave.diff import Selection, compare
from xensave.errors import UsageError
from xensave.image import open_image
from xensave.views.guest.comparison import comparison_json, comparison_lines
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Compare two images: records, fields by name, CPU policy, params, configuration, the device"
    " model's sections, memory. Exit 0: alike; 1: different, or a damaged image; 2: usage, or an"
    " input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("old", metavar="A", help="an image, a stream or a context; - for stdin")
    parser.add_argument("new", metavar="B", help="what it is compared with; - for stdin")
    parser.add_argument(
        "--records",
        metavar="NAME[,NAME...]",
        help="compare these only: CPU, LAPIC_REGS, HVM_PARAMS, config, xenstore, QEMU, memory",
    )
    repeated(
        parser,
        "--ignore",
        "FIELD",
        "leave out a record or a field (CPU.rip, HPET.timers, memory), or volatile: what moves by"
        " itself",
    )
    parser.add_argument(
        "--volatile", action="store_true", help="show what moves by itself field by field"
    )
    parser.add_argument("--pages", action="store_true", help="list every page that differs")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument(
        "--release", metavar="R", help="take layouts from this Xen release in both images"
    )
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Compares, and says what differs."""
    if args.old == args.new == "-":
        raise UsageError("standard input can be one of the two only")
    records = tuple(name for name in (args.records or "").split(",") if name)
    selection = Selection(records, tuple(args.ignore))
    # An image would take every error for its own; compare() says whose one is.
    with (
        closing(open_image(args.old, release=args.release, max_size=args.max_size)) as old,
        closing(open_image(args.new, release=args.release, max_size=args.max_size)) as new,
    ):
        comparison = compare(old, new, selection)
    if args.json:
        print_json(comparison_json(comparison, pages=args.pages))
    else:
        width = width_of(sys.stdout)
        print_lines(comparison_lines(comparison, width, volatile=args.volatile, pages=args.pages))
    return 1 if comparison.differs else 0
