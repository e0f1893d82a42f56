"""`xensave edit`: change a saved guest, field by field."""

from __future__ import annotations

import argparse
import json
import sys

from xensave.cli.options import input_format, max_size
from xensave.cli.output import no_terminal
from xensave.diff import Comparison
from xensave.edit.apply import Edited, Request, edit
from xensave.edit.assignment import parse_assignment
from xensave.errors import UsageError
from xensave.views.guest.comparison import comparison_json, comparison_lines
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Change fields of an image by the names that `show` gives them, and have a Xen release judge"
    " the result before it is written. Exit 0: done; 1: refused, or a damaged image; 2: usage, no"
    " such field, a value that does not fit it, or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN", help="the image; - for standard input")
    parser.add_argument(
        "output", metavar="OUT", nargs="?", help="where the result goes; - for standard output"
    )
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="FIELD=VALUE",
        action="append",
        required=True,
        help="CPU[0].rip=0x1000, HPET.timers[0].config|=8, CPU.cr4.SMEP=1, tsc.nsec=0,"
        " params.VIRIDIAN=1, cpuid.0x7.0.b.SMEP=0, config.c_info.name=x; may be repeated",
    )
    parser.add_argument(
        "-t",
        "--target",
        metavar="R",
        help="the release that shall take the result (by default the one that saved it)",
    )
    parser.add_argument(
        "--release", metavar="R", help="take layouts from this Xen release where IN names none"
    )
    parser.add_argument("--force", action="store_true", help="write what the release would refuse")
    parser.add_argument("--dry-run", action="store_true", help="say what would change")
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not print the changes")
    input_format(parser)
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out the changes, and say what they were."""
    if args.output is None and not args.dry_run:
        raise UsageError("where to? name OUT, or ask for --dry-run")
    no_terminal(None if args.dry_run else args.output)
    request = Request(
        [parse_assignment(text) for text in args.assignments],
        args.target or args.release,
        args.release,
        args.force,
    )
    done = edit(
        args.input,
        None if args.dry_run else args.output,
        request,
        max_size=args.max_size,
        format=args.input_format,
    )
    if not args.quiet:
        _print(args, done)
    return 0


def _print(args: argparse.Namespace, done: Edited) -> None:
    # The image itself has standard output where OUT is "-".
    out = sys.stderr if args.output == "-" and not args.dry_run else sys.stdout
    comparison = Comparison(done.changes, None)
    if args.json:
        out.write(json.dumps(comparison_json(comparison)) + "\n")
        return
    for line in comparison_lines(comparison, width_of(out), volatile=True):
        out.write(line + "\n")
