"""Memory, page by page: which frames have contents, and of which they differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xensave.diff.contents import Contents, Hashed, Hasher, Placed, difference
from xensave.image import Image
from xensave.memory import build_index
from xensave.memory.batches import batches
from xensave.memory.column import Integers


class PageContents(NamedTuple):
    """The frames with contents in ascending order, and for each its page type and contents."""

    frames: Integers
    types: NDArray[np.uint8]
    contents: Contents


class MemoryChange(NamedTuple):
    """Frames that differ: in contents, in page type, or in having contents at all.

    `zeroed` are those of `changed` that hold only zeros now. `old` and `new` count the pages.
    """

    old: int
    new: int
    changed: Integers
    zeroed: Integers
    appeared: Integers
    vanished: Integers
    retyped: Integers

    @property
    def differs(self) -> bool:
        """Whether any frame differs."""
        return any(map(len, (self.changed, self.appeared, self.vanished, self.retyped)))


def memory_of(image: Image) -> PageContents:
    """Reads which frames an image has contents of, and which of them count: the last.

    A file's stay where they lie. A pipe is read once, and its pages are hashed.

    Raises Malformed where a PAGE_DATA record has not as many pages as it lists.
    """
    if image.mapped:
        index = image.memory.index
        placed = Placed(image.memory.mapped(), index.offsets)
        return PageContents(index.pfns, index.types.astype(np.uint8), placed)
    pages = Hasher()
    index = build_index(batches(pages.hashed(image.read_events())))
    hashed = Hashed(pages.at(index.offsets))
    return PageContents(index.pfns, index.types.astype(np.uint8), hashed)


def compare_memory(old: PageContents, new: PageContents) -> MemoryChange:
    """Compares two memories frame by frame."""
    left, right = _common(old.frames, new.frames)
    common = old.frames[left]
    changed, zeroed = difference(old.contents, left, new.contents, right)
    return MemoryChange(
        old=len(old.frames),
        new=len(new.frames),
        changed=common[changed],
        zeroed=common[zeroed],
        appeared=np.delete(new.frames, right),
        vanished=np.delete(old.frames, left),
        retyped=common[old.types[left] != new.types[right]],
    )


def _common(old: Integers, new: Integers) -> tuple[Integers, Integers]:
    """Returns the positions of the frames that both have, in each; both ascend.

    >>> _common(np.array([1, 3, 4]), np.array([0, 1, 4, 9]))
    (array([0, 2]), array([1, 2]))
    """
    at = np.minimum(np.searchsorted(new, old), len(new) - 1)
    there = new[at] == old
    return np.flatnonzero(there), at[there]


def ranges(frames: Integers) -> list[tuple[int, int]]:
    """Returns first and last of each run of neighbouring frames.

    >>> ranges(np.array([1, 2, 3, 7]))
    [(1, 3), (7, 7)]
    """
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(run[0]), int(run[-1])) for run in np.split(frames, breaks)]
