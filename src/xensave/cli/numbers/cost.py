"""`xensave cost`: what a larger maximum costs a hypervisor."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable

from xensave.cli.options import number

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
    parser.add_argument(
        "--space",
        metavar="S",
        help="another number space that a limit bounds (hvm-param, elf-note): --max is the limit",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Counts, and prints."""
    from xensave.numbers.cost import cost
    from xensave.numbers.space import newest
    from xensave.views.catalogue.numbers import cost_lines, cost_object
    from xensave.views.text.terminal import width_of

    if args.space:
        return _space(args)
    costs = cost(args.release or newest(), args.max)
    return _print(cost_object(costs), cost_lines(costs, width_of(sys.stdout)), as_json=args.json)


def _space(args: argparse.Namespace) -> int:
    from xensave.numbers.cost import space_cost
    from xensave.numbers.space import newest
    from xensave.views.catalogue.spaces import cost_lines, cost_object
    from xensave.views.text.terminal import width_of

    costs = space_cost(args.space, args.release or newest(), args.max)
    return _print(cost_object(costs), cost_lines(costs, width_of(sys.stdout)), as_json=args.json)


def _print(whole: dict[str, object], lines: Iterable[str], *, as_json: bool) -> int:
    text = [json.dumps(whole, indent=2)] if as_json else lines
    sys.stdout.writelines(f"{line}\n" for line in text)
    return 0
