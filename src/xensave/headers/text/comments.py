"""Reservations that headers state in comments, and which no compiler sees."""

from __future__ import annotations

import re

from xensave.findings import Place
from xensave.headers.model import HeaderReservation

_PIECE = re.compile(r"/\*.*?\*/|//[^\n]*" r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'""", re.DOTALL)
_STAR = re.compile(r"(?m)^[ \t]*\*(?!/)")
_NUMBER = r"(0x[0-9a-f]+|\d+)"
_OWNER = r"\s+reserved\s+(?:for|by|to)\s+(?:the\s+)?((?-i:[A-Za-z][\w.-]*(?:\s+[A-Z][\w.-]*)*))"
_RANGE = re.compile(
    rf"(?:\b(?:ranges?|numbers?|codes?|type-?codes?)\s+)?\b{_NUMBER}\s*(?:-|\.\.|to|through|and)\s*"
    rf"{_NUMBER}(?:\s+\(inclusive\))?,?(?:\s+(?:is|are))?{_OWNER}",
    re.IGNORECASE,
)
_ONE = re.compile(
    rf"\b(?:number|code|type-?code)\s+{_NUMBER},?(?:\s+is)?{_OWNER}",
    re.IGNORECASE,
)


def reservations(text: str, file: str) -> list[HeaderReservation]:
    """Return the reservations that the comments of a header state, in the order of their lines.

    >>> [found] = reservations("/* Range 22 - 34 (inclusive) reserved for Amazon */", "save.h")
    >>> found.first, found.last, found.owner, str(found.place)
    (22, 34, 'Amazon', 'save.h:1')
    """
    found = []
    for comment in _PIECE.finditer(text):
        if not comment.group().startswith("/"):
            continue
        words = _STAR.sub(lambda star: " " * len(star.group()), comment.group())
        for pattern in (_RANGE, _ONE):
            for match in pattern.finditer(words):
                *numbers, owner = match.groups()
                line = text.count("\n", 0, comment.start() + match.start()) + 1
                values = [int(number, 0) for number in numbers]
                found.append(
                    HeaderReservation(
                        first=values[0],
                        last=values[-1],
                        owner=owner.rstrip("."),
                        text=" ".join(match.group().split()),
                        place=Place(file=file, line=line),
                    )
                )
    return found
