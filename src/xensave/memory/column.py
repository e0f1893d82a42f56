"""Columns of integers that grow at their ends: what one pass over an image appends to."""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]

Numbers: TypeAlias = npt.NDArray[np.uint16 | np.uint32 | np.int64]
"""Integers not below 0, in the narrowest of three types that holds them."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

_FIRST_ROOM = 4096
_GROWTH_SHIFT = 3
_MOVED = 1 << 25
"""From so many bytes on the system moves a block without a copy: then small steps are cheap."""


class _Growing(Generic[_Scalar]):
    """Values that are appended; of many, memory is an eighth more than what they take."""

    def __init__(self, room: npt.NDArray[_Scalar]) -> None:
        self._room = room
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, values: Numbers) -> None:
        """Appends values."""
        end = self._length + len(values)
        self._make_room(end)
        self._room[self._length : end] = values
        self._length = end

    def release(self) -> npt.NDArray[_Scalar]:
        """Returns what was appended, and keeps no room beyond it."""
        self._room.resize(self._length, refcheck=False)
        return self._room

    def _make_room(self, length: int) -> None:
        size = len(self._room)
        if length > size:
            more = size >> _GROWTH_SHIFT if self._room.nbytes >= _MOVED else size
            self._room.resize(max(length, size + more), refcheck=False)


class Column(_Growing[np.int64]):
    """64-bit integers, appended in whole arrays.

    >>> column = Column()
    >>> column.extend(np.arange(3))
    >>> column.extend(np.arange(2))
    >>> column.array().tolist(), len(column)
    ([0, 1, 2, 0, 1], 5)
    """

    def __init__(self) -> None:
        super().__init__(np.empty(_FIRST_ROOM, np.int64))

    def array(self) -> Integers:
        """Returns what was appended, without a copy; the column must not grow after that."""
        return self._room[: self._length]


class NarrowColumn(_Growing[np.uint16 | np.uint32 | np.int64]):
    """Integers not below 0, in the narrowest of three types that holds all of them.

    >>> column = NarrowColumn()
    >>> column.extend(np.array([7]))
    >>> column.extend(np.array([1 << 16, 2]))
    >>> column.release()
    array([    7, 65536,     2], dtype=uint32)
    """

    def __init__(self) -> None:
        super().__init__(np.empty(_FIRST_ROOM, np.uint16))
        self._most = int(np.iinfo(np.uint16).max)

    def extend(self, values: Numbers) -> None:
        """Appends values."""
        if len(values):
            self._widen(int(values.max()))
        super().extend(values)

    def _widen(self, most: int) -> None:
        if most > self._most:
            wide = np.uint32 if most <= np.iinfo(np.uint32).max else np.int64
            self._room = self._room.astype(wide)
            self._most = int(np.iinfo(wide).max)
