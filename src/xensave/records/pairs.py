"""The fields of two layouts in pairs: by name, and what is left over by the place it takes.

Who compares layouts, converts records or reviews a change of a struct pairs their fields here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Pairs(NamedTuple, Generic[T]):
    """`same` are the fields of one name, `renamed` those where one took the other's place.

    `gone` and `fresh` are the fields whose name the other side lacks, those renamed among them.
    """

    same: tuple[tuple[T, T], ...]
    renamed: tuple[tuple[T, T], ...]
    gone: tuple[T, ...]
    fresh: tuple[T, ...]

    @property
    def removed(self) -> tuple[T, ...]:
        """What is gone and was not renamed."""
        return tuple(f for f in self.gone if all(f is not old for old, _ in self.renamed))

    @property
    def added(self) -> tuple[T, ...]:
        """What is fresh and was not renamed."""
        return tuple(f for f in self.fresh if all(f is not new for _, new in self.renamed))


def pair(
    old: Iterable[T],
    new: Iterable[T],
    *,
    name: Callable[[T], str],
    renames: Callable[[T, T], bool],
) -> Pairs[T]:
    """Pair fields; `renames` tells whether one may be the other under a new name.

    >>> pairs = pair(["a0", "b1"], ["a0", "c1", "d2"], name=str, renames=lambda a, b: a[1] == b[1])
    >>> pairs.same, pairs.renamed, pairs.added
    ((('a0', 'a0'),), (('b1', 'c1'),), ('d2',))
    """
    before, after = {name(field): field for field in old}, {name(field): field for field in new}
    gone = tuple(field for key, field in before.items() if key not in after)
    fresh = tuple(field for key, field in after.items() if key not in before)
    free = list(gone)
    renamed = []
    for field in fresh:
        for at, other in enumerate(free):
            if renames(other, field):
                renamed.append((free.pop(at), field))
                break
    same = tuple((before[key], field) for key, field in after.items() if key in before)
    return Pairs(same, tuple(renamed), gone, fresh)
