"""What an input is given to, where all would take too long: the same for the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def some(of: Sequence[T], data: bytes, count: int) -> list[T]:
    """Return `count` neighbours of a sequence, chosen by the input.

    >>> some("abcd", b"one", 2) == some("abcd", b"one", 2)
    True
    """
    first = zlib.crc32(data)
    return [of[(first + number) % len(of)] for number in range(count)]
