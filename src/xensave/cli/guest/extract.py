"""`xensave extract`: take a guest's memory out of an image, for other tools."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xensave.cli.options import input_format, max_size
from xensave.cli.output import no_terminal
from xensave.errors import SourceError, UsageError
from xensave.image import Image, open_image

DESCRIPTION = (
    "Write a saved guest's memory and registers to a file that other tools open: gdb, drgn, crash"
    " and volatility3 an elf, volatility3 also raw and lime, Xen's own tools a core. Exit 0:"
    " written; 1: a damaged image, or memory that the format cannot hold; 2: usage or input/output."
)

_FORMATS = ("elf", "raw", "lime", "core")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a save image or a stream; - for standard input; domain:NAME for a guest that runs,"
        " which is paused meanwhile",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help="the file, which only its owner may read; - for standard output",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="elf",
        help="elf (the default), raw (offset = physical address), lime, or core as xl dump-core"
        " writes it",
    )
    parser.add_argument(
        "--vmcoreinfo",
        metavar="FILE",
        help="VMCOREINFO as text, for elf, in the place of what the guest's kernel keeps",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    input_format(parser)
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Open the image, and write its memory."""
    from xensave.dump import Format, Options, extract
    from xensave.source.watch import Copied, announce
    from xensave.views.text.escape import escape

    no_terminal(args.output)
    options = Options(_vmcoreinfo(args))
    copied = Copied(args.output)
    with _opened(args) as image:
        announce(copied)
        done = extract(image, args.output, Format(args.format), options, copied.add)
    if not args.quiet:
        # Memory itself has standard output where OUT is "-".
        out = sys.stderr if args.output == "-" else sys.stdout
        out.write(
            f"{escape(args.output)}: {args.format}, {done.frames:,} frames, {done.size:,} bytes\n"
        )
    return 0


def _opened(args: argparse.Namespace) -> Image:
    from xensave.live import is_domain

    if not is_domain(args.image):
        return open_image(args.image, max_size=args.max_size, format=args.input_format)
    from xensave.live.memory import open_domain_memory

    return open_image(args.image, source=open_domain_memory(args.image))


def _vmcoreinfo(args: argparse.Namespace) -> bytes | None:
    if args.vmcoreinfo is None:
        return None
    if args.format != "elf":
        raise UsageError(f"--vmcoreinfo is for --format elf; {args.format} has no place for it")
    try:
        return Path(args.vmcoreinfo).read_bytes()
    except OSError as error:
        raise SourceError(f"{args.vmcoreinfo}: {error.strerror}") from error
