"""Run one command: parse its words, call it, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import gc
import io
import sys
from importlib import import_module

from xensave.errors import SourceError, UsageError, XensaveError
from xensave.views.escape import escape
from xensave.views.terminal import COLOUR_CHOICES, width_of


def run_command(name: str, words: list[str]) -> int:
    """Run `xensave NAME WORDS...`: the exit code; never a traceback for bad input."""
    # What start-up makes lives to the end: to look for garbage among it is time lost.
    gc.disable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A guest's name may hold what the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    module = import_module(f"xensave.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"xensave {name}",
        description=module.DESCRIPTION,
        allow_abbrev=False,
        formatter_class=_formatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        "--color",
        choices=COLOUR_CHOICES,
        default="auto",
        help="colours: auto (on a terminal, or as $NO_COLOR and $FORCE_COLOR say), always, never",
    )
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        gc.freeze()
        gc.enable()
        code: int = module.run(args)
    except XensaveError as error:
        sys.stdout.flush()
        sys.stderr.write(f"xensave {name}: {escape(str(error))}\n")
        return 2 if isinstance(error, (SourceError, UsageError)) else 1
    return code


def number(text: str) -> int:
    """Read a number as a person writes one: decimal or 0x...

    >>> number("40"), number("0x4100")
    (40, 16640)
    """
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None


def positive(text: str) -> int:
    """Read a number from 1 on."""
    found = number(text)
    if found < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more: {text!r}")
    return found


def input_format(parser: argparse.ArgumentParser, *aliases: str) -> None:
    """Declare --input-format, and other names of it."""
    from xensave.container.formats import format_names

    parser.add_argument(
        "--input-format",
        *aliases,
        choices=format_names(),
        help="what the input is (by default its first bytes tell)",
    )


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Given a width, argparse does not import shutil to ask for one.
    return argparse.HelpFormatter(prog, width=width_of(sys.stdout) - 2)
