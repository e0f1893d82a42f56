"""Many inputs of one command: each is looked at, what cannot be read is told and passed over."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from xensave.cli.run import BAD_INPUT, code_of, complain, wants_json
from xensave.errors import XensaveError
from xensave.image.input import Item, Unreadable, expand


def for_each(
    command: str,
    words: Iterable[str | int],
    args: argparse.Namespace,
    act: Callable[[Item], int],
    *,
    failed: Callable[[str, XensaveError], int] | None = None,
    bad_input: int = BAD_INPUT,
    memory: bool = False,
) -> list[int]:
    """Calls `act` for each input that the words name, and returns the exit codes, one an input.

    An error of one input is told in a line, or by `failed`, and the next one has its turn.
    `bad_input` is the code of an input that is damaged, or is no image. With `memory` guests that
    run are read with their memory.
    """

    def passed_over(name: str, error: XensaveError) -> int:
        if failed is not None:
            return failed(name, error)
        return told(command, args, error, bad_input)

    codes: list[int] = []
    inputs = expand(
        words,
        max_size=getattr(args, "max_size", None),
        format=getattr(args, "input_format", None),
        memory=memory,
    )
    for each in inputs:
        if isinstance(each, Unreadable):
            codes.append(passed_over(each.name, each.error))
            continue
        try:
            codes.append(act(each))
        except XensaveError as error:
            each.source.name_in(error)
            codes.append(passed_over(each.name, error))
    return codes


def told(
    command: str, args: argparse.Namespace, error: XensaveError, bad_input: int = BAD_INPUT
) -> int:
    """Tells an error of one input, unless --quiet is set, and returns its exit code."""
    if not getattr(args, "quiet", False):
        complain(command, error, as_json=wants_json(args))
    return code_of(error, bad_input)


def counted(codes: list[int], good: str, bad: str) -> str:
    """Returns the line that sums up many inputs by their exit codes.

    >>> counted([0, 0, 1, 2], "valid", "with findings")
    '4 images: 2 valid, 1 with findings, 1 not read'
    """
    parts = [
        f"{codes.count(code)} {word}"
        for code, word in ((0, good), (1, bad), (2, "not read"))
        if code in codes
    ]
    return f"{len(codes)} images: {', '.join(parts)}"
