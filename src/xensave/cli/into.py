"""Inputs and where their results go: IN and OUT, or many inputs and a directory."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from xensave.cli.many import counted, for_each
from xensave.cli.output import no_terminal
from xensave.errors import UsageError
from xensave.image.input import FileNumber, Item, inputs_among
from xensave.source import Input
from xensave.source.compression.compress import Compression
from xensave.source.inputs import reading
from xensave.source.output import is_standard
from xensave.views.text.escape import escape

_PACKED = re.compile(r"\.(zst|zstd|gz|xz|bz2|lz4)$")

Act = Callable[[Input, str, "str | None"], int]
"""Does the work on one input: what to open, its name, and the path of the result if any."""


def add_operands(parser: argparse.ArgumentParser, what: str = "the image") -> None:
    """Declares IN... and OUT."""
    parser.add_argument(
        "words",
        metavar="IN",
        nargs="+",
        help=f"{what}; - for standard input. Several images, directories, globs and tars go into"
        " a directory OUT",
    )
    # The last of the words is OUT: this one is here to be read about, and stays empty.
    parser.add_argument(
        "out", metavar="OUT", nargs="?", help="where the result goes; - for standard output"
    )


def into(
    command: str,
    args: argparse.Namespace,
    act: Act,
    *,
    good: str,
    bad: str,
    compress: str | None = None,
    suffix: str = "",
) -> int:
    """Calls `act` for each input, and returns the exit code; of many inputs it prints a sum.

    `good` and `bad` are what that line calls exit codes 0 and 1. In a directory a result is called
    as its input, without a compression's ending where `compress` (as --compress says it) or
    `suffix` puts another. Raises UsageError where it is not said where a result goes.
    """
    inputs, out = operands(args.words, dry_run=getattr(args, "dry_run", None))
    if len(inputs) == 1 and not any(map(_is_directory, (inputs[0], out or "-"))):
        no_terminal(out)
        return act(inputs[0], inputs[0], out)
    if out is not None and not _is_directory(out):
        raise UsageError(f"several images take a directory as OUT, and {out} is none")
    if out is not None:
        # An earlier input's result would be written over one that is still to come.
        for path in inputs_among(inputs, _files_in(out)):
            reading(path)
    names: set[str] = set()

    def done(item: Item) -> int:
        name = _name_of(item, compress, suffix)
        if name in names:
            raise UsageError(f"another of the images is called {name}")
        names.add(name)
        path = None if out is None else f"{out.rstrip('/')}/{name}"
        return act(item.what, item.name, path)

    codes = for_each(command, inputs, args, done)
    if len(codes) > 1 and not args.json and not args.quiet:
        print(counted(codes, good, bad))
    return max(codes, default=0)


def beside(out: str | None) -> TextIO:
    """Returns where text goes: the image itself has standard output where OUT is that."""
    return sys.stderr if out is not None and is_standard(out) else sys.stdout


def heading(args: argparse.Namespace, name: str) -> str:
    """Returns the line above what is said of one of many inputs; nothing where one was named."""
    return f"{escape(name)}:\n" if name not in args.words or len(args.words) > 2 else ""


def operands(words: list[str], *, dry_run: bool | None) -> tuple[list[str], str | None]:
    """Returns the inputs and the output; a dry run of many may name none.

    `dry_run` is None for a command that has none.
    """
    *inputs, last = words
    if not last:
        raise UsageError("where to? OUT is empty")
    if dry_run and (not inputs or (len(inputs) > 1 and not _is_directory(last))):
        return words, None
    if not inputs:
        more = ", or ask for --dry-run" if dry_run is not None else ""
        raise UsageError(f"where to? name OUT{more}")
    return inputs, None if dry_run else last


def _is_directory(word: str) -> bool:
    return word != "-" and os.path.isdir(word)  # noqa: PTH112 - pathlib is slow


def _files_in(folder: str) -> set[FileNumber]:
    numbers: set[FileNumber] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                status = entry.stat()
                numbers.add((status.st_dev, status.st_ino))
    return numbers


def _name_of(item: Item, compress: str | None, suffix: str) -> str:
    """Returns what an item's result is called in the directory of results."""
    name = item.name.rstrip("/").rpartition("/")[2]
    if suffix:
        return _PACKED.sub("", name) + suffix
    if compress is None:
        return name
    bare = _PACKED.sub("", name)
    return bare if compress == "none" else bare + Compression.parse(compress).method.suffixes[0]
