"""Run one command: parse its words, call it, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from importlib import import_module

from xensave.errors import SourceError, UsageError, XensaveError
from xensave.views.escape import escape
from xensave.views.terminal import width_of

INTERRUPTED = 130


def run_command(name: str, words: list[str]) -> int:
    """Run `xensave NAME WORDS...`: the exit code; never a traceback for bad input."""
    # What start-up makes lives to the end: to look for garbage among it is time lost.
    gc.disable()
    module = import_module(f"xensave.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"xensave {name}",
        description=module.DESCRIPTION,
        allow_abbrev=False,
        formatter_class=_formatter,
    )
    module.add_arguments(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        gc.freeze()
        gc.enable()
        code: int = module.run(args)
        sys.stdout.flush()
    except XensaveError as error:
        _complain(name, str(error))
        return 2 if isinstance(error, (SourceError, UsageError)) else 1
    except BrokenPipeError:
        # The reader went away (| head): close quietly, as other filters do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(name, f"{error.filename or 'input/output'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
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


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Given a width, argparse does not import shutil to ask for one.
    return argparse.HelpFormatter(prog, width=width_of(sys.stdout) - 2)


def _complain(command: str, message: str) -> None:
    sys.stderr.write(f"xensave {command}: {escape(message)}\n")
