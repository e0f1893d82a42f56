"""The only map of colours: what a word means, and how a terminal shows it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from xensave.findings import ERROR, NOTE, WARNING, Severity

Paint: TypeAlias = Severity | Literal["good", "bad", "unsure", "title"]
GOOD: Final = "good"
BAD: Final = "bad"
UNSURE: Final = "unsure"
TITLE: Final = "title"

_SGR: dict[Paint, str] = {
    ERROR: "31",
    WARNING: "33",
    NOTE: "36",
    GOOD: "32",
    BAD: "31",
    UNSURE: "33",
    TITLE: "1",
}


def painted(text: str, style: Paint, *, colour: bool) -> str:
    r"""Returns text in a style, a severity or one of those above, where `colour` is wanted.

    >>> painted("refused", BAD, colour=True)
    '\x1b[31mrefused\x1b[0m'
    """
    return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if colour else text
