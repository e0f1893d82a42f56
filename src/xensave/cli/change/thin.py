"""`xensave thin`: a live stream with each frame's last contents only."""

from __future__ import annotations

import argparse
from functools import partial

from xensave.cli.answer import print_json
from xensave.cli.into import add_operands, beside, into
from xensave.cli.options import reading
from xensave.cli.running import open_with_memory
from xensave.source import Input
from xensave.views.text.escape import escape

DESCRIPTION = (
    "Write a live migration's stream without what is sent again: a smaller image that restores to"
    " the same guest. Exit 0: written; 1: a damaged image, or a legacy stream; 2: usage or"
    " input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_operands(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object for each image")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Writes each image."""
    return into("thin", args, partial(_thin, args), good="written", bad="damaged")


def _thin(args: argparse.Namespace, what: Input, name: str, out: str | None) -> int:
    from xensave.convert.thin import thin

    path = "-" if out is None else out
    with open_with_memory(what, max_size=args.max_size, format=args.input_format) as image:
        done = thin(image, path)
    text = beside(path)
    if args.json:
        pages = {"before": done.before, "after": done.after}
        print_json({"source": name, "output": path, "pages": pages}, text, indent=None)
    elif not args.quiet:
        text.write(f"{escape(path)}: {done.after:,} of {done.before:,} pages\n")
    return 0
