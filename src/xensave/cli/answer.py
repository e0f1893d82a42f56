"""A command's answer: lines for a person, or a document for a program where --json asks for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from xensave.views.text.terminal import width_of

if TYPE_CHECKING:
    from xensave.toolstack.releases.matrix import Matrix


def print_lines(lines: Iterable[str], out: TextIO | None = None) -> None:
    """Prints lines as they come, on standard output where no other stream is named."""
    (out or sys.stdout).writelines(f"{line}\n" for line in lines)


def print_json(value: object, out: TextIO | None = None, *, indent: int | None = 2) -> None:
    """Prints a value as a document; without `indent` it is a line."""
    from xensave.records.json_text import json_pieces

    stream = out or sys.stdout
    stream.writelines(json_pieces(value, indent=indent))
    stream.write("\n")


def print_answer(args: argparse.Namespace, value: object, lines: Iterable[str]) -> None:
    """Prints a value where --json asks for it, else the lines, which are made only then."""
    if args.json:
        print_json(value)
    else:
        print_lines(lines)


def print_matrix(args: argparse.Namespace, table: Matrix, *, text: bool) -> None:
    """Draws a matrix where --plot asks for it, and prints it: as JSON, or as text if wanted."""
    from xensave.views.answers.matrix import matrix_object, matrix_text, plot

    if args.plot:
        plot(table, args.plot)
    if args.json:
        print_json(matrix_object(table), indent=None)
    elif text:
        print_lines([matrix_text(table, width_of(sys.stdout))])
