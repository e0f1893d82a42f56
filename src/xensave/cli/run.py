"""Run one command: parse its words, call it, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType

from xensave.cli import module_of
from xensave.cli.parser import BadUsage, command_parser, suggestion
from xensave.errors import MissingExtra, SourceError, UsageError, XensaveError
from xensave.source.inputs import command_inputs
from xensave.views.text.escape import escape
from xensave.views.text.terminal import fold_width
from xensave.views.text.wrap import wrapped

BAD_INPUT = 1
"""The exit code for input that is damaged, where a command's module does not say otherwise."""


def run_command(name: str, words: list[str]) -> int:
    """Returns runs `xensave NAME WORDS...`: the exit code; never a traceback for bad input."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A guest's name may hold what the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Nothing multiplies matrices: numpy's import would start a thread for each processor, and wait.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module = import_module(module_of(name))
    parser = command_parser(name, module)
    try:
        args = parser.read(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except BadUsage as error:
        complain(name, error, as_json="--json" in words)
        return 2
    return _call(name, module, args)


def _call(name: str, module: ModuleType, args: argparse.Namespace) -> int:
    trouble: XensaveError
    try:
        with command_inputs(), _progress(args):
            code: int = module.run(args)
    except XensaveError as error:
        trouble = error
    except SystemExit:
        # A plug-in or a hook: what it meant to say with its code is not this command's answer.
        trouble = UsageError("stopped by a plug-in or hook that called sys.exit()")
    except ModuleNotFoundError as error:
        missing = MissingExtra.of(error, name)
        if missing is None:
            raise
        trouble = missing
    except ImportError as error:
        # A library that is there, and cannot be loaded: no room, no more files.
        if (error.name or "").partition(".")[0] == "xensave":
            raise
        trouble = SourceError(f"{error.name or 'a library'} cannot be loaded: {error}")
    except RecursionError:
        trouble = SourceError("the input is nested too deeply")
    except MemoryError:
        trouble = SourceError("out of memory")
    else:
        return code
    complain(name, trouble, as_json=wants_json(args))
    return code_of(trouble, getattr(module, "BAD_INPUT", BAD_INPUT))


def code_of(error: XensaveError, bad_input: int = BAD_INPUT) -> int:
    """Returns the exit code that an error means: trouble (2), or what damaged input is."""
    return 2 if isinstance(error, (SourceError, UsageError)) else bad_input


def _progress(args: argparse.Namespace) -> AbstractContextManager[None]:
    """Shows how far a command is, on a terminal."""
    if getattr(args, "quiet", False) or not sys.stderr.isatty():
        return nullcontext()
    from xensave.views.text.progress import progress

    return progress(sys.stderr)


def wants_json(args: argparse.Namespace) -> bool:
    """Tells whether a command was asked for JSON, as --json or as --format json."""
    return bool(getattr(args, "json", False)) or getattr(args, "format", None) == "json"


def complain(name: str, error: XensaveError, *, as_json: bool) -> None:
    """Says what went wrong in a line on stderr, and with `as_json` as an object on stdout too."""
    if as_json:
        from xensave.views.errors import error_json

        sys.stdout.write(error_json(error) + "\n")
    sys.stdout.flush()
    near = suggestion(error.word, error.known) if isinstance(error, UsageError) else ""
    line = f"xensave {name}: {escape(str(error) + near)}"
    sys.stderr.writelines(f"{part}\n" for part in wrapped(line, fold_width(sys.stderr), after="  "))
