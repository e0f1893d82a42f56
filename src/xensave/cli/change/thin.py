"""`xensave thin`: a live stream with each frame's last contents only."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.options import input_format, max_size
from xensave.image import open_image

DESCRIPTION = (
    "Write a live migration's stream without what is sent again: a smaller image that restores to"
    " the same guest. Exit 0: written; 1: a damaged image, or a legacy stream; 2: usage or"
    " input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN", help="the image; - for standard input")
    parser.add_argument(
        "output", metavar="OUT", help="where the result goes; - for standard output"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    input_format(parser)
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Write the image."""
    from xensave.convert.thin import thin
    from xensave.views.text.escape import escape

    with open_image(args.input, max_size=args.max_size, format=args.input_format) as image:
        done = thin(image, args.output)
    if not args.quiet:
        out = sys.stderr if args.output == "-" else sys.stdout
        out.write(f"{escape(args.output)}: {done.after:,} of {done.before:,} pages\n")
    return 0
