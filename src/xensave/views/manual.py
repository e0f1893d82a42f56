"""A command's parser as a manual page."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping


def command_page(name: str, purpose: str, parser: argparse.ArgumentParser, version: str) -> str:
    """Returns the page of a command, for section 1."""
    synopsis = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines = [
        *_head(f"xensave-{name}", purpose, version),
        ".SH SYNOPSIS",
        f".B xensave {_text(name)}",
        _text(synopsis.removeprefix(f"xensave {name}").strip()) or ".PP",
        ".SH DESCRIPTION",
        _text(parser.description or ""),
    ]
    for title, positional in (("OPERANDS", True), ("OPTIONS", False)):
        actions = [a for a in parser._actions if bool(a.option_strings) is not positional]
        if actions:
            lines += [f".SH {title}", *(line for action in actions for line in _action(action))]
    lines += [".SH SEE ALSO", ".BR xensave (1)"]
    return "\n".join(lines) + "\n"


def main_page(commands: Mapping[str, str], version: str) -> str:
    """Returns the page of xensave itself, which lists the commands."""
    lines = [
        *_head("xensave", "read, verify, explain and convert what Xen saves", version),
        ".SH SYNOPSIS",
        ".B xensave",
        r"\fICOMMAND\fR [\fIARGUMENT\fR ...]",
        ".SH COMMANDS",
    ]
    for name, purpose in commands.items():
        lines += [".TP", f".BR xensave\\-{name.replace('-', chr(92) + '-')} (1)", _text(purpose)]
    lines += [
        ".SH EXIT STATUS",
        _text(
            "0: fine. 1: the answer is no. 2: trouble: wrong words, a file that cannot be read or"
            " written. 130: interrupted. 141: the reader of the output left."
        ),
        ".SH ENVIRONMENT",
        ".TP",
        ".B NO_COLOR, FORCE_COLOR",
        _text("No colours, or colours even in a pipe, where they are set to anything."),
        ".TP",
        ".B COLUMNS",
        _text("The width at which text is folded."),
    ]
    return "\n".join(lines) + "\n"


def _head(name: str, purpose: str, version: str) -> Iterator[str]:
    yield f'.TH {name.upper().replace("-", chr(92) + "-")} 1 "" "xensave {version}" "User Commands"'
    yield ".SH NAME"
    yield f"{_text(name)} \\- {_text(purpose)}"


def _action(action: argparse.Action) -> Iterator[str]:
    value = ""
    if action.nargs != 0:
        choices = ",".join(str(choice) for choice in action.choices or ())
        metavar = action.metavar if isinstance(action.metavar, str) else None
        value = metavar or (f"{{{choices}}}" if choices else action.dest.upper())
    yield ".TP"
    if action.option_strings:
        shown = ", ".join(rf"\fB{_text(option)}\fR" for option in action.option_strings)
        yield f"{shown} \\fI{_text(value)}\\fR" if value else shown
    else:
        yield rf"\fI{_text(value)}\fR"
    yield _text((action.help or "").replace("%%", "%"))


def _text(text: str) -> str:
    r"""Returns text in which nothing is a request of the formatter.

    >>> print(_text(".a --b 'c'"))
    \&.a \-\-b 'c'
    """
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain
