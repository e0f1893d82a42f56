"""The last contents of each frame, of runs in the order in which their pages were sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.memory.column import Integers, Numbers
from xensave.memory.index.runs import WINDOW, NarrowRuns, RunColumns, Runs, spread

_MOST = int(np.iinfo(np.int64).max)
_KEY_BITS = 63
_PAINTED = 1 << 20
"""Parts of runs that are looked at together."""


class _Pieces(NamedTuple):
    """Frames in ascending order, none twice, and which of the runs sent them.

    `first` and `frames` are of each piece, `last` and `earliest` the numbers of the last run that
    sent it and of the first that did.
    """

    first: Integers
    frames: Integers
    last: Integers
    earliest: Integers


def ascending(runs: NarrowRuns) -> bool:
    """Tells whether runs go up through the frames, and none is there twice."""
    end = 0
    for at in range(0, len(runs.first), WINDOW):
        window = runs.window(at)
        ends = window.ends
        if window.first[0] < end or (window.first[1:] < ends[:-1]).any():
            return False
        end = int(ends[-1])
    return True


def last_contents(runs: NarrowRuns, passes: Integers) -> tuple[NarrowRuns, Integers]:
    """Returns the last contents of each frame as runs in ascending order, and the new frames.

    `passes` has the number of the first run of each pass over the frames; the new frames of a pass
    are those that none before it sent.

    At the peak it takes 8 bytes for each run that was sent, and what it returns: a live guest's
    runs are as long as its records, and what was sent again cuts them.
    """
    new = np.zeros(len(passes), np.int64)
    left = RunColumns()
    for piece in _pieces(runs, _order(runs.first)):
        np.add.at(new, np.searchsorted(passes, piece.earliest, "right") - 1, piece.frames)
        ahead = piece.first - runs.first[piece.last].astype(np.int64)
        left.extend(
            _joined(Runs(piece.first, runs.place[piece.last] + ahead * PAGE_SIZE, piece.frames))
        )
    return left.release(), new


def _order(firsts: Numbers) -> Integers:
    """Returns the numbers of runs by their first frames, those of one frame in order.

    >>> _order(np.array([5, 2, 5, 0])).tolist()
    [3, 1, 0, 2]
    """
    bits = len(firsts).bit_length()
    if int(firsts.max()).bit_length() + bits > _KEY_BITS:
        return np.argsort(firsts, kind="stable")
    # Keys with the frame above the number are quicker to sort, and in place.
    keys = firsts.astype(np.int64)
    keys <<= bits
    for at in range(0, len(keys), WINDOW):
        part = keys[at : at + WINDOW]
        part |= np.arange(at, at + len(part))
    keys.sort()
    keys &= (1 << bits) - 1
    return keys


def _pieces(runs: NarrowRuns, order: Integers) -> Iterator[_Pieces]:
    """Yields the pieces that runs have frames in, a window of the runs at a time."""
    crossing = order[:0]
    for at in range(0, len(order), WINDOW):
        low = int(runs.first[order[at]])
        next_one = order[at + WINDOW : at + WINDOW + 1]
        high = int(runs.first[next_one[0]]) if len(next_one) else _MOST
        numbers = np.concatenate((crossing, order[at : at + WINDOW]))
        first = runs.first[numbers].astype(np.int64)
        ends = first + runs.frames[numbers]
        np.maximum(first, low, out=first)
        if len(crossing):
            again = np.lexsort((numbers, first))
            numbers, first, ends = numbers[again], first[again], ends[again]
        beyond = ends > high
        crossing = _outermost(numbers[beyond], ends[beyond])
        np.minimum(ends, high, out=ends)
        yield _resent(numbers, first, ends)


def _outermost(numbers: Integers, ends: Integers) -> Integers:
    """Returns which of the runs that cross a frame are above it the first or the last to send any.

    >>> _outermost(np.array([1, 2, 3, 4]), np.array([90, 50, 60, 40])).tolist()
    [1, 3, 4]
    """
    order = np.argsort(numbers)
    numbers, ends = numbers[order], ends[order]
    reach = np.maximum.accumulate(ends)
    counts = np.append(True, ends[1:] > reach[:-1])
    reach = np.maximum.accumulate(ends[::-1])[::-1]
    counts |= np.append(ends[:-1] > reach[1:], True)
    outermost: Integers = numbers[counts[: len(numbers)]]
    return outermost


def _resent(numbers: Integers, first: Integers, ends: Integers) -> _Pieces:
    """Returns the pieces of runs that are in ascending order, and may have frames in common."""
    there = ends > first
    numbers, first, ends = numbers[there], first[there], ends[there]
    begins = np.ones(len(first), np.bool_)
    begins[1:] = (first[1:] != first[:-1]) | (ends[1:] != ends[:-1])
    at = np.flatnonzero(begins)
    if (first[at[1:]] >= ends[at[:-1]]).all():
        # Nearly always: what is sent again is sent as it was, or is a page alone.
        lasts = np.append(at[1:], len(first))[: len(at)] - 1
        return _Pieces(first[at], ends[at] - first[at], numbers[lasts], numbers[at])
    cuts = np.sort(np.concatenate((first, ends)))
    # Sorted integers need no table of what was seen, as unique() makes one.
    cuts = cuts[np.append(True, cuts[1:] != cuts[:-1])]
    low, counts = np.searchsorted(cuts, first), np.searchsorted(cuts, ends)
    counts -= low
    last, earliest = np.full(len(cuts) - 1, -1), np.full(len(cuts) - 1, _MOST)
    total = np.cumsum(counts)
    limits = np.searchsorted(total, np.arange(_PAINTED, total[-1], _PAINTED))
    for begin, end in pairwise([0, *limits.tolist(), len(counts)]):
        part = slice(begin, end)
        parts, of = spread(low[part], counts[part]), np.repeat(numbers[part], counts[part])
        np.maximum.at(last, parts, of)
        np.minimum.at(earliest, parts, of)
    sent = last >= 0
    return _Pieces(cuts[:-1][sent], np.diff(cuts)[sent], last[sent], earliest[sent])


def _joined(runs: Runs) -> Runs:
    """Returns runs in ascending order, those as one that follow one another in the image too."""
    first, place, frames = runs
    begins = runs.begins(place)
    if begins.all():
        return runs
    at = np.flatnonzero(begins)
    return Runs(first[at], place[at], np.add.reduceat(frames, at))
