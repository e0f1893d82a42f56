"""`xensave plan`: an upgrade of a scanned fleet as a list, and as a script to read and run."""

from __future__ import annotations

import argparse

from xensave.cli.answer import print_json, print_lines
from xensave.cli.options import target
from xensave.cli.output import write_text
from xensave.source.output import is_standard

DESCRIPTION = (
    "Say what an upgrade asks of each guest of a scanned fleet: it restores as it is, after"
    " convert, or must be shut down before. Exit 0: every guest restores, some after convert;"
    " 1: some do not, or it depends; 2: usage, or no such table."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("table", metavar="TABLE", help="the table (fleet.parquet)")
    target(parser, "a release that was scanned for")
    parser.add_argument(
        "--script", metavar="FILE", help="write a shell script that converts what must be; - prints"
    )
    parser.add_argument(
        "--folder", metavar="DIR", default="converted", help="where the script converts to"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Plans, and prints the list or writes the script."""
    from xensave.fleet.plan import UpgradeStep, plan, script
    from xensave.views.fleet import plan_lines, plan_object

    plans = plan(args.table, args.target)
    if args.script is not None:
        lines = script(plans, args.target, args.folder)
        write_text(args.script, "".join(f"{line}\n" for line in lines))
    if args.json:
        print_json(plan_object(plans, args.target))
    elif args.script is None or not is_standard(args.script):
        print_lines(plan_lines(plans, args.target))
    fine = all(each.step in (UpgradeStep.RESTORE, UpgradeStep.CONVERT) for each in plans)
    return 0 if fine else 1
