"""The fields of two layouts in pairs: by name, and what is left over by the place it takes.

Who compares layouts, converts records or reviews a change of a struct pairs their fields here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
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
        renamed = {id(old) for old, _ in self.renamed}
        return tuple(field for field in self.gone if id(field) not in renamed)

    @property
    def added(self) -> tuple[T, ...]:
        """What is fresh and was not renamed."""
        renamed = {id(new) for _, new in self.renamed}
        return tuple(field for field in self.fresh if id(field) not in renamed)


def pair(
    old: Iterable[T],
    new: Iterable[T],
    *,
    name: Callable[[T], str],
    place: Callable[[T], Hashable],
    alike: Callable[[T, T], bool] = lambda _, __: True,
) -> Pairs[T]:
    """Pairs fields: a new one may be one that is gone of its place, unless they are not alike.

    A field whose `place` is None is never another's new name.

    >>> pairs = pair(["a0", "b1"], ["a0", "c1", "d2"], name=str, place=lambda field: field[1])
    >>> pairs.same, pairs.renamed, pairs.added
    ((('a0', 'a0'),), (('b1', 'c1'),), ('d2',))
    """
    before, after = {name(field): field for field in old}, {name(field): field for field in new}
    gone = tuple(field for key, field in before.items() if key not in after)
    fresh = tuple(field for key, field in after.items() if key not in before)
    # By place, so that two structs of thousands of fields do not take the product of both.
    free: defaultdict[Hashable, list[T]] = defaultdict(list)
    for field in gone:
        free[place(field)].append(field)
    free.pop(None, None)
    renamed = []
    for field in fresh:
        there = free.get(place(field), [])
        for at, other in enumerate(there):
            if alike(other, field):
                renamed.append((there.pop(at), field))
                break
    same = tuple((before[key], field) for key, field in after.items() if key in before)
    return Pairs(same, tuple(renamed), gone, fresh)
