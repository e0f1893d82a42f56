"""`xensave edit`: change a saved guest, field by field."""

from __future__ import annotations

import argparse

from xensave.cli.answer import print_json, print_lines
from xensave.cli.into import add_operands, beside, heading, into
from xensave.cli.options import reading
from xensave.diff import Comparison
from xensave.edit.apply import Edited, EditRequest, edit
from xensave.edit.assignment import parse_assignment
from xensave.source import Input
from xensave.views.guest.comparison import comparison_json, comparison_lines
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Change fields of an image by the names that `show` gives them, and have a Xen release judge"
    " the result before it is written. Exit 0: done; 1: refused, or a damaged image; 2: usage, no"
    " such field, a value that does not fit it, or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_operands(parser)
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
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Carries out the changes in each image, and says what they were."""
    request = EditRequest(
        [parse_assignment(text) for text in args.assignments],
        args.target or args.release,
        args.release,
        args.force,
    )

    def edited(what: Input, name: str, out: str | None) -> int:
        limits = {"max_size": args.max_size, "format": args.input_format}
        done = edit(what, out, request, **limits)
        if not args.quiet:
            _print(args, done, name, out)
        return 0

    good = "can be" if args.dry_run else "edited"
    return into("edit", args, edited, good=good, bad="refused")


def _print(args: argparse.Namespace, done: Edited, name: str, out: str | None) -> None:
    text = beside(out)
    comparison = Comparison(done.changes, None)
    if args.json:
        print_json({"source": name, **comparison_json(comparison)}, text, indent=None)
        return
    text.write(heading(args, name))
    print_lines(comparison_lines(comparison, width_of(text), volatile=True), text)
