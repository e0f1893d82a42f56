"""What is printed is made and looked at: nothing of an input may reach a terminal unescaped."""

from __future__ import annotations

from collections.abc import Iterable


def printable(lines: Iterable[str]) -> None:
    """Make every line; raise AssertionError for one that a terminal could act upon."""
    for line in lines:
        if not line.isprintable():
            raise AssertionError(f"unescaped: {line!r}")


def ascii_only(text: str) -> None:
    """Raise AssertionError for text that a terminal could act upon, lines and tabs apart."""
    printable(text.expandtabs().splitlines() if text.isascii() else text.split("\n"))
