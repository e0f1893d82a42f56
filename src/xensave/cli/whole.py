"""The parsers of all commands as one, for what is made from them: completion, manual pages."""

from __future__ import annotations

import argparse
from importlib import import_module

from xensave.cli import COMMANDS, module_of
from xensave.cli.parser import CommandParser, command_parser


def parser_of(name: str) -> CommandParser:
    """Returns the parser of a command."""
    return command_parser(name, import_module(module_of(name)))


def whole_parser() -> argparse.ArgumentParser:
    """Returns a parser with a subparser for each command; it is asked, and parses nothing."""
    whole = argparse.ArgumentParser(
        prog="xensave", description="Read, verify, explain and convert what Xen saves."
    )
    whole.add_argument("-V", "--version", action="version", version="")
    commands = whole.add_subparsers(metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        commands.add_parser(
            name, parents=[parser_of(name)], add_help=False, help=purpose, prog=f"xensave {name}"
        )
    return whole
