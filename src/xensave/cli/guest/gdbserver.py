"""`xensave gdbserver`: a saved guest as a target of gdb."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType

from xensave.cli.options import memory_image, number, reading
from xensave.cli.running import open_with_memory
from xensave.errors import UsageError
from xensave.image import Image
from xensave.views.text.escape import escape

DESCRIPTION = (
    "Serve a saved guest to gdb, lldb and others, read only: each vCPU is a thread, memory is read"
    " by virtual address. Exit 0: ended by --once; 1: a damaged image; 2: usage or input/output;"
    " 130: interrupted."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    memory_image(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--socket",
        metavar="PATH",
        help="the Unix socket, of mode 0600 (by default one in $XDG_RUNTIME_DIR or $TMPDIR)",
    )
    where.add_argument(
        "--port",
        metavar="N",
        type=number,
        help="listen on 127.0.0.1 instead, where any local user can read the guest (0: any port)",
    )
    where.add_argument(
        "--stdio",
        action="store_true",
        help="serve on standard input and output: (gdb) target remote | xensave gdbserver ...",
    )
    parser.add_argument(
        "--once", action="store_true", help="end when the first that asked something is gone"
    )
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Opens the image, and serves it."""
    from xensave.dump.gdb import Session

    with open_with_memory(args.image, max_size=args.max_size, format=args.input_format) as image:
        # Found out before anyone connects: is there a guest to serve?
        session = Session(image)
        if args.stdio:
            from xensave.dump.gdb.packets import Packets

            if args.image == "-":
                raise UsageError("--stdio: standard input is gdb's, not the image's")
            session.run(Packets(sys.stdin.buffer, sys.stdout.buffer))
        elif args.port is not None:
            _serve_tcp(image, args.port, once=args.once)
        else:
            _serve_unix(image, args.socket or _default_socket(), once=args.once)
    return 0


def _serve_unix(image: Image, path: str, *, once: bool) -> None:
    from xensave.dump.gdb import listen_unix, serve

    signal.signal(signal.SIGTERM, _interrupt)
    with listen_unix(path) as listener:
        try:
            _say(path)
            serve(listener, image, once=once)
        finally:
            with suppress(FileNotFoundError):
                Path(path).unlink()


def _serve_tcp(image: Image, port: int, *, once: bool) -> None:
    from xensave.dump.gdb import listen_tcp, serve

    with listen_tcp(port) as listener:
        host, taken = listener.getsockname()
        _say(f"{host}:{taken}")
        serve(listener, image, once=once)


def _say(target: str) -> None:
    sys.stdout.write(f"(gdb) target remote {escape(target)}\n")
    sys.stdout.flush()


def _default_socket() -> str:
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return f"{folder}/xensave-{os.getpid()}.gdb"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
