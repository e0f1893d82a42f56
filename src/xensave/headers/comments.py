"""Reservations that headers state in comments, and which no compiler sees."""

from __future__ import annotations

import re

from xensave.findings import Place
from xensave.headers.model import HeaderReservation

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_RANGE = re.compile(
    r"\b(?:ranges?|numbers?|codes?|typecodes?|type-codes?)?\s*"
    r"(0x[0-9a-f]+|\d+)\s*(?:-|\.\.|to|through|and)\s*(0x[0-9a-f]+|\d+)"
    r"\s*(?:\(inclusive\))?\s*,?\s*(?:is|are)?\s*reserved\s+(?:for|by|to)\s+"
    r"(?:the\s+)?([A-Za-z][\w.-]*(?:\s+[A-Z][\w.-]*)*)",
    re.IGNORECASE,
)
_ONE = re.compile(
    r"\b(?:number|code|typecode|type-code)\s+(0x[0-9a-f]+|\d+)\s*,?\s*(?:is\s+)?"
    r"reserved\s+(?:for|by|to)\s+(?:the\s+)?([A-Za-z][\w.-]*(?:\s+[A-Z][\w.-]*)*)",
    re.IGNORECASE,
)


def reservations(text: str, file: str) -> list[HeaderReservation]:
    """Return the reservations that the comments of a header state, in the order of their lines.

    >>> [found] = reservations("/* Range 22 - 34 (inclusive) reserved for Amazon */", "save.h")
    >>> found.first, found.last, found.owner, str(found.place)
    (22, 34, 'Amazon', 'save.h:1')
    """
    found = []
    for comment in _COMMENT.finditer(text):
        for pattern in (_RANGE, _ONE):
            for match in pattern.finditer(comment.group()):
                *numbers, owner = match.groups()
                start = comment.start() + match.start() + _leading_space(match.group())
                line = text.count("\n", 0, start) + 1
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


def _leading_space(text: str) -> int:
    return len(text) - len(text.lstrip())
