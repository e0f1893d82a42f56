"""`xensave decode`: an image as JSON, page contents left where they are."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain, islice

from xensave.catalogue import series_of
from xensave.cli.many import for_each
from xensave.cli.options import images, layouts, reading
from xensave.cli.run import code_of, complain
from xensave.edit.document.decode import decode_pieces
from xensave.errors import XensaveError
from xensave.image.input import Item
from xensave.views.errors import error_object

DESCRIPTION = (
    "Print an image as JSON: headers, configuration, every record and field. Page contents stay in"
    " the image, which the JSON names; `xensave encode` makes the image of both again. Exit 0:"
    " done; 1: a damaged image; 2: usage, or the input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    images(
        parser, "images, directories, globs and tars of them: a document each; - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="as it is: errors are JSON too")
    layouts(parser)
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Walks each image, and prints it event by event."""
    release = series_of(args.release) if args.release is not None else None

    def decoded(item: Item) -> int:
        path = item.what if isinstance(item.what, str) else None
        lines = decode_pieces(item.source, path, release)
        # The first event comes before anything is printed: what is no image has no document.
        front = [*islice(lines, 2)]
        try:
            for line in chain(front, lines):
                sys.stdout.writelines(line)
                sys.stdout.write("\n")
        except XensaveError as error:
            sys.stdout.write(f'], "error": {json.dumps(error_object(error))}}}\n')
            item.source.name_in(error)
            complain("decode", error, as_json=False)
            return code_of(error)
        return 0

    return max(for_each("decode", args.images, args, decoded), default=0)
