"""`xensave decode`: an image as JSON, page contents left where they are."""

from __future__ import annotations

import argparse
import sys

from xensave.catalogue import series_of
from xensave.cli.options import input_format, max_size
from xensave.edit.document.decode import decode_lines
from xensave.source import open_source

DESCRIPTION = (
    "Print an image as JSON: headers, configuration, every record and field. Page contents stay in"
    " the image, which the JSON names; `xensave encode` makes the image of both again. Exit 0:"
    " done; 1: a damaged image; 2: usage, or the input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("image", metavar="IN", help="the image; - for standard input")
    parser.add_argument(
        "--release",
        metavar="R",
        help="take layouts from this Xen release, not the one that the image names",
    )
    input_format(parser)
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Walk the image, and print it event by event."""
    path = None if args.image == "-" else args.image
    release = series_of(args.release) if args.release is not None else None
    with open_source(args.image, max_size=args.max_size, format=args.input_format) as source:
        for line in decode_lines(source, path, release):
            sys.stdout.write(f"{line}\n")
    return 0
