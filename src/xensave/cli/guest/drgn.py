"""`xensave drgn`: drgn's shell over a saved Linux guest."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.options import memory_image, read_file, reading
from xensave.cli.running import open_with_memory

DESCRIPTION = (
    "Open drgn's shell over the Linux kernel in an image; `prog` is the program, `image` the image."
    " Exit 0: the shell ended; 1: a damaged image; 2: usage, no drgn, or input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    memory_image(parser)
    parser.add_argument(
        "vmlinux",
        metavar="VMLINUX",
        nargs="?",
        help="the guest's kernel with debug information (where drgn does not find it by itself)",
    )
    parser.add_argument(
        "--vmcoreinfo",
        metavar="FILE",
        help="VMCOREINFO as text, in the place of what memory or the vmlinux tells",
    )
    parser.add_argument("--script", metavar="FILE", help="run a script instead of the shell")
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Makes the program, and opens the shell."""
    from xensave.drgn import program

    info = read_file(args.vmcoreinfo) if args.vmcoreinfo is not None else None
    with open_with_memory(args.image, max_size=args.max_size, format=args.input_format) as image:
        prog = program(image, args.vmlinux, vmcoreinfo=info)
        import drgn
        from drgn.cli import default_globals, run_interactive

        if args.vmlinux is None:
            try:
                prog.load_default_debug_info()
            except drgn.MissingDebugInfoError as error:
                sys.stderr.write(f"xensave drgn: {error}\n")
        if args.script is not None:
            names = {**default_globals(prog), "image": image, "__file__": args.script}
            exec(compile(read_file(args.script), args.script, "exec"), names)
        else:
            run_interactive(prog, globals_func=lambda names: {**names, "image": image})
    return 0
