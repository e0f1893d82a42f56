"""`xensave suggest`: which numbers a downstream should take."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.answer import print_answer
from xensave.cli.options import number, registries_of, registry, repeated, space
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Say which record numbers a downstream keeps, gives up and takes, and why: a deployed number "
    "that is compatible is kept, an incompatible change takes a new one, and new numbers lie high "
    "in the space with the vendor's letter as their upper byte."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--for", dest="vendor", metavar="VENDOR", required=True, help="who takes them"
    )
    parser.add_argument(
        "--count", metavar="N", type=number, help="how many new numbers (1, or 0 with --keep)"
    )
    repeated(
        parser,
        "--keep",
        "RANGES",
        "numbers that are deployed and should stay: 22-34, or 18,22-24",
    )
    registry(parser, "heed")
    parser.add_argument("--release", metavar="R", help="the release to be compatible with (master)")
    space(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def numbers(texts: list[str], most: int = 0xFFFF) -> list[int]:
    """Reads ranges of numbers up to `most`.

    >>> numbers(["22-24, 0x4100", "18"])
    [22, 23, 24, 16640, 18]
    """
    from xensave.catalogue.owned import ranges

    return [
        number
        for text in texts
        for first, last in ranges(text, most)
        for number in range(first, last + 1)
    ]


def run(args: argparse.Namespace) -> int:
    """Advises, and prints."""
    from xensave.catalogue import MASTER
    from xensave.catalogue.owned import SAVE_RECORD, TYPECODE_MAX
    from xensave.numbers.suggest import advise
    from xensave.views.catalogue.numbers import advice_lines, advice_object

    advice = advise(
        args.vendor,
        count=args.count,
        keep=numbers(args.keep, most=TYPECODE_MAX if args.space is None else 0xFFFFFFFF),
        registries=registries_of(args.registry),
        release_name=args.release or MASTER,
        space=args.space or SAVE_RECORD,
    )
    print_answer(args, advice_object(advice), advice_lines(advice, width_of(sys.stdout)))
    return 0
