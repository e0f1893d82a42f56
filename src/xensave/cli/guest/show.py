"""`xensave show`: what a saved guest holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from xensave.cli.answer import print_json, print_lines
from xensave.cli.many import for_each
from xensave.cli.options import images, layouts, reading, walk
from xensave.errors import UsageError
from xensave.image import Image
from xensave.image.input import Item
from xensave.views.text.escape import escape
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Show what a saved guest holds: a summary, or its records field by field. Exit 0: shown; 1: a"
    " damaged image, or no such record in it; 2: usage, or the input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    images(
        parser,
        "save images, libxl or libxc streams and HVM contexts, compressed or not, and"
        " directories, globs and tars of them; - for standard input",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--record",
        metavar="NAME[:INSTANCE]",
        action="append",
        help="the fields of a record: CPU, CPU:1, HVM_PARAMS, a number, or libxc/END where a name"
        " is in several layers; may be repeated",
    )
    what.add_argument("--all", action="store_true", help="the fields of every record")
    parser.add_argument(
        "--style",
        choices=["text", "hvmctx"],
        default="text",
        help="hvmctx: the HVM context as Xen 4.17's xen-hvmctx prints it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    layouts(parser)
    reading(parser)
    walk(parser)


def run(args: argparse.Namespace) -> int:
    """Opens the image and prints what was asked for."""
    if args.style == "hvmctx" and (args.json or args.record or args.all):
        raise UsageError("--style hvmctx prints the whole context: it takes no --json or --record")
    shown = 0

    def show(item: Item) -> int:
        nonlocal shown
        with item.image(release=args.release, walk=args.walk) as image:
            if args.style == "hvmctx":
                _print_hvmctx(image)
            elif args.json:
                _print_json(image, args.record, everything=args.all)
            else:
                several = shown > 0 or item.member is not None or len(args.images) > 1
                _print_text(image, args.record, everything=args.all, several=several)
        shown += 1
        return 0

    return max(for_each("show", args.images, args, show), default=0)


def _print_hvmctx(image: Image) -> None:
    from xensave.views.records.hvmctx import hvmctx

    # A running guest is named by its id, or has none that the tool would print.
    number = image.name.removeprefix("domain:")
    for text in hvmctx(image.context_bytes, int(number) if number.isdecimal() else 0):
        sys.stdout.write(text)


def _print_json(image: Image, specs: list[str] | None, *, everything: bool) -> None:
    import json

    from xensave.image.subjects import all_subjects, find_subjects
    from xensave.records.json_text import json_pieces
    from xensave.views.guest.summary import summary_json
    from xensave.views.records.record_json import record_json

    if specs:
        subjects = [subject for spec in specs for subject in find_subjects(image, spec)]
        _list(record_json(subject) for subject in subjects)
        return
    summary = summary_json(image)
    if not everything:
        print_json(summary)
        return
    # Records may be many: each has a line, as it comes.
    head = json.dumps(summary, indent=2).removesuffix("\n}")
    sys.stdout.write(f'{head},\n  "contents": [')
    separator = "\n"
    for subject in all_subjects(image):
        sys.stdout.write(f"{separator}    ")
        sys.stdout.writelines(json_pieces(record_json(subject)))
        separator = ",\n"
    sys.stdout.write("\n  ]\n}\n")


def _list(values: Iterable[object]) -> None:
    """Prints a list, of which one value at a time is in memory."""
    from xensave.records.json_text import json_pieces

    separator = "[\n  "
    for value in values:
        sys.stdout.write(separator)
        sys.stdout.writelines(piece.replace("\n", "\n  ") for piece in json_pieces(value, indent=2))
        separator = ",\n  "
    sys.stdout.write("\n]\n")


def _print_text(image: Image, specs: list[str] | None, *, everything: bool, several: bool) -> None:
    """Prints an image; as one of `several` it is set apart, and named above its records."""
    width = width_of(sys.stdout)
    if not specs and not everything:
        from xensave.views.guest.summary import summary_lines

        lines = list(summary_lines(image, width))
        print_lines([*lines, ""] if several else lines)
        return
    from xensave.image.subjects import all_subjects, find_subjects
    from xensave.views.records.fields import record_lines

    if specs:
        subjects = [subject for spec in specs for subject in find_subjects(image, spec)]
    else:
        subjects = list(all_subjects(image))
    if several:
        print_lines([f"{escape(image.name)}:"])
    for subject in subjects:
        print_lines(record_lines(subject, width))
    if several:
        print_lines([""])
