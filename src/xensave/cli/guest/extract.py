"""`xensave extract`: take a guest's memory out of an image, for other tools."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from xensave.cli.answer import print_json
from xensave.cli.into import add_operands, beside, into
from xensave.cli.options import contents, read_file, reading
from xensave.cli.running import open_with_memory
from xensave.errors import UsageError
from xensave.source import Input
from xensave.views.text.escape import escape

if TYPE_CHECKING:
    from xensave.dump import Options

DESCRIPTION = (
    "Write a saved guest's memory and registers to a file that other tools open: gdb, drgn, crash"
    " and volatility3 an elf, volatility3 also raw and lime, Xen's own tools a core. Exit 0:"
    " written; 1: a damaged image, or memory that the format cannot hold; 2: usage or input/output."
)

_NO_VMCOREINFO = (
    "no VMCOREINFO in the guest's memory, by which drgn and crash know a kernel;"
    " --vmcoreinfo FILE gives it"
)

_FORMATS = ("elf", "raw", "lime", "core")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_operands(
        parser,
        "the image; domain:NAME is a guest that runs, which is paused meanwhile",
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
    parser.add_argument("--json", action="store_true", help="print a JSON object for each image")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Opens each image, and writes its memory."""
    from xensave.dump import Options

    extracted = partial(_extract, args, Options(_vmcoreinfo(args)))
    return into("extract", args, extracted, good="written", bad="not", suffix=f".{args.format}")


def _extract(
    args: argparse.Namespace, options: Options, what: Input, name: str, out: str | None
) -> int:
    from xensave.dump import DumpFormat, extract
    from xensave.source.watch import Copied, announce

    path = "-" if out is None else out
    copied = Copied(path)
    with open_with_memory(what, max_size=args.max_size, format=args.input_format) as image:
        announce(copied)
        done = extract(image, path, DumpFormat(args.format), options, copied.add)
    text = beside(path)
    if args.json:
        fields = {"source": name, "output": path, "format": args.format}
        counts = {"frames": done.frames, "bytes": done.size, "vmcoreinfo": done.vmcoreinfo}
        print_json({**fields, **counts}, text, indent=None)
    elif not args.quiet:
        about = f"{args.format}, {done.frames:,} frames, {done.size:,} bytes"
        text.write(f"{escape(path)}: {about}\n")
    if done.vmcoreinfo is False and not args.quiet:
        text.flush()
        sys.stderr.write(f"xensave extract: {escape(path)}: {_NO_VMCOREINFO}\n")
    return 0


def _vmcoreinfo(args: argparse.Namespace) -> bytes | None:
    if args.vmcoreinfo is None:
        return None
    if args.format != "elf":
        raise UsageError(f"--vmcoreinfo is for --format elf; {args.format} has no place for it")
    from xensave.dump.vmcoreinfo import checked

    return contents("vmcoreinfo", args.vmcoreinfo, lambda path: checked(read_file(path)))
