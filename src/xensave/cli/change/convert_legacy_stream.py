"""`xensave convert-legacy-stream`: what Xen's script of that name does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from xensave.cli import main as command
from xensave.container.events import Event
from xensave.convert.legacy import convert_legacy_stream
from xensave.errors import UsageError
from xensave.source import open_source
from xensave.source.output import writing
from xensave.views.records.event import event_line

DESCRIPTION = (
    "Convert a legacy stream (Xen 4.5 and earlier) to one of version 3, byte for byte as Xen's"
    " convert-legacy-stream does. Exit 0: done; 1: a damaged stream; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of Xen's script."""
    parser.add_argument("-i", "--in", dest="input", metavar="FD|FILE", help="the legacy stream")
    parser.add_argument("-o", "--out", dest="output", metavar="FD|FILE", help="the result")
    parser.add_argument(
        "-w", "--width", choices=["32", "64"], help="bits of the toolstack that wrote it"
    )
    parser.add_argument(
        "-g", "--guest-type", "--guest", choices=["pv", "hvm"], help="the guest's type"
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=["libxc", "libxl"],
        default="libxc",
        help="the format of the result (default: libxc)",
    )
    parser.add_argument("-x", "--xl", action="store_true", help="an xl header comes first")
    parser.add_argument(
        "--skip-qemu", action="store_true", help="leave the device model out of a libxc stream"
    )
    parser.add_argument("--syslog", action="store_true", help="-v writes to syslog")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every record")


def run(args: argparse.Namespace) -> int:
    """Converts a legacy stream, and returns 0 when it is done."""
    if args.input is None or args.output is None:
        raise UsageError("name the input (--in FD|FILE) and the output (--out FD|FILE)")
    with open_source(_place(args.input)) as source, writing(_place(args.output)) as out:
        convert_legacy_stream(
            source,
            out.fd,
            width=int(args.width) // 8 if args.width else None,
            pv=args.guest_type == "pv" if args.guest_type else None,
            libxl=args.format == "libxl",
            device_model=not args.skip_qemu,
            xl_header=args.xl,
            each=_sayer(args, out.fd) if args.verbose else None,
        )
    return 0


def main() -> int:
    """Returns runs it under a name of its own, for who can name a program and no command of one."""
    return command(["convert-legacy-stream", *sys.argv[1:]])


def _place(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _sayer(args: argparse.Namespace, fd: int) -> Callable[[Event], None]:
    """Returns what names a record: on stderr where the stream itself takes standard output."""
    if args.syslog:
        import syslog

        syslog.openlog("convert-legacy-stream", syslog.LOG_PID)
        return lambda event: syslog.syslog(syslog.LOG_INFO, event_line(event))
    stream = sys.stderr if fd == sys.stdout.fileno() else sys.stdout
    return lambda event: print(event_line(event), file=stream)
