"""A column of integers that grows at its end: what one pass over an image appends to."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]

_FIRST_ROOM = 4096


class Column:
    """64-bit integers, appended in whole arrays; memory is at most twice what they take.

    >>> column = Column()
    >>> column.extend(np.arange(3))
    >>> column.extend(np.arange(2))
    >>> column.array().tolist(), len(column)
    ([0, 1, 2, 0, 1], 5)
    """

    def __init__(self) -> None:
        self._room = np.empty(_FIRST_ROOM, np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, values: Integers) -> None:
        """Appends values."""
        end = self._length + len(values)
        self._make_room(end)
        self._room[self._length : end] = values
        self._length = end

    def append(self, value: int) -> None:
        """Appends one value."""
        self._make_room(self._length + 1)
        self._room[self._length] = value
        self._length += 1

    def array(self) -> Integers:
        """Returns what was appended, without a copy; the column must not grow after that."""
        return self._room[: self._length]

    def release(self) -> Integers:
        """Returns what was appended, and keeps no room beyond it."""
        self._room.resize(self._length, refcheck=False)
        return self._room

    def _make_room(self, length: int) -> None:
        if length > len(self._room):
            self._room.resize(max(length, 2 * len(self._room)), refcheck=False)
