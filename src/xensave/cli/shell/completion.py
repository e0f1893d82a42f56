"""`xensave completion`: what a shell needs to complete xensave's words."""

from __future__ import annotations

import argparse
import sys

DESCRIPTION = (
    "Print a script that lets a shell complete commands, options and their values. Packages install"
    " it; by hand: xensave completion bash > ~/.local/share/bash-completion/completions/xensave"
)
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    sys.stdout.write(script(args.shell))
    return 0


def script(shell: str) -> str:
    """Returns the script for a shell."""
    import shtab

    from xensave.cli.whole import whole_parser

    whole = whole_parser()
    _complete_files(whole)
    text: str = shtab.complete(whole, shell)
    return text.rstrip("\n") + "\n"


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Lets operands and the values of options that have no list of words be files."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner)
        elif action.choices is None and action.nargs != 0:
            setattr(action, "complete", shtab.FILE)  # noqa: B010 - argparse knows no such field
