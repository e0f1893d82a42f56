"""The parser that every command has: operands and options in any order, errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NoReturn

from xensave import __version__
from xensave.errors import UsageError
from xensave.views.text.terminal import COLOUR_CHOICES, width_of


class BadUsage(UsageError):
    """Words that a command does not take; they are told by its parser."""


class _Operand(str):
    """A word behind "--": never an option, whatever it begins with."""

    __slots__ = ()


class CommandParser(argparse.ArgumentParser):
    """A command's parser; raises BadUsage instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raises what argparse found wrong."""
        raise BadUsage(message)

    def read(self, words: list[str]) -> argparse.Namespace:
        """Parses a command's words: operands may stand before, between and after options.

        Raises BadUsage, and SystemExit where --help or --version was printed.
        """
        if not any(map(_may_ask_for_help, words)):
            # argparse would format it for errors of its own, which are raised here without.
            self.usage = self.prog
        at = words.index("--") if "--" in words else len(words)
        try:
            args, unknown = self.parse_known_intermixed_args(
                [*words[:at], *map(_Operand, words[at + 1 :])]
            )
        except (BadUsage, argparse.ArgumentError) as error:
            unknown = [word for word in words[:at] if self._is_unknown(word)]
            # One about an argument's value names it; what is lacking may have been misspelled.
            of_value = isinstance(error, argparse.ArgumentError) and error.argument_name is not None
            if not unknown or of_value:
                raise BadUsage(str(error)) from None
        finally:
            self.usage = None
        if unknown:
            raise BadUsage(f"unknown words: {' '.join(unknown)}{self._instead(unknown[0])}")
        return args

    def _parse_optional(self, arg_string: str) -> Any:  # noqa: ANN401 - Pythons differ
        # Operands and options may be mixed, and then argparse forgets where "--" stood.
        return None if isinstance(arg_string, _Operand) else super()._parse_optional(arg_string)

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _is_unknown(self, word: str) -> bool:
        """Tells whether a word looks like an option, and is none."""
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        return word[:1] == "-" and len(word) > 1 and name not in self._options()

    def _instead(self, word: str) -> str:
        """Returns what may have been meant by an unknown word: an option, or a file."""
        close = suggestion(word, self._options())
        if not close and word.startswith("-") and os.path.lexists(word):
            return f"; ./{word} is the file"
        return close


def _may_ask_for_help(word: str) -> bool:
    """Tells whether a word is --help, or may be -h among other letters."""
    return word == "--help" or (word[:1] == "-" and word[1:2] != "-" and "h" in word)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns a question for a word that was perhaps another, to end an error with.

    >>> suggestion("shwo", ["show", "verify"])
    "; did you mean 'show'?"
    """
    if not word:
        return ""
    from difflib import get_close_matches

    close = get_close_matches(word.partition("=")[0], list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def command_parser(name: str, module: ModuleType) -> CommandParser:
    """Returns the parser of a command's module, with the options that all commands take."""
    parser = CommandParser(
        prog=f"xensave {name}",
        description=module.DESCRIPTION,
        allow_abbrev=False,
        exit_on_error=False,
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"xensave {__version__}")
    parser.add_argument(
        "--color",
        choices=COLOUR_CHOICES,
        default="auto",
        help="colours: auto (on a terminal, or as $NO_COLOR and $FORCE_COLOR say), always, never",
    )
    module.add_arguments(parser)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Given a width, argparse does not import shutil to ask for one.
    return argparse.HelpFormatter(prog, width=width_of(sys.stdout) - 2)
