"""Compare two images: headers, configuration, records, device models, memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from xensave.diff.change import FieldDifference
from xensave.diff.facts import emulator_changes, fact_changes
from xensave.diff.pages import MemoryChange, compare_memory, memory_of
from xensave.diff.records import names_of, record_changes
from xensave.diff.selection import Selection
from xensave.errors import XensaveError
from xensave.image import Image


class Comparison(NamedTuple):
    """What differs; `memory` is None where pages were not compared.

    `lacking` are the names of images without pages, where the other has some: a running guest, a
    bare context.
    """

    changes: tuple[FieldDifference, ...]
    memory: MemoryChange | None
    lacking: tuple[str, ...] = ()

    @property
    def steady(self) -> Iterator[FieldDifference]:
        """The changes of what stays while nothing happens."""
        return (change for change in self.changes if not change.volatile)

    @property
    def volatile(self) -> Iterator[FieldDifference]:
        """The changes of what moves by itself: time stamps and running counters."""
        return (change for change in self.changes if change.volatile)

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes) or (self.memory is not None and self.memory.differs)


def compare(old: Image, new: Image, selection: Selection | None = None) -> Comparison:
    """Compares two images; what `selection` leaves out does not count.

    Each is walked at most three times, a pipe once. Time grows with the size of both; what two
    files have is compared where it lies, but for holes of both, other pages are hashed as they
    pass. Raises what a walk raises for a damaged image, UsageError for a record to compare
    that neither has.
    """
    chosen = selection or Selection()
    pages, lacking = _memory(old, new) if chosen.memory else (None, ())
    for image in (old, new):
        with _naming(image):
            _ = image.context if image.has_context else None
            _ = image.emulators
    if chosen.records:
        chosen.check({*names_of(old), *names_of(new)})
    result = chain(fact_changes(old, new), record_changes(old, new), emulator_changes(old, new))
    return Comparison(tuple(change for change in result if chosen.takes(change)), pages, lacking)


def _memory(old: Image, new: Image) -> tuple[MemoryChange | None, tuple[str, ...]]:
    with _naming(old):
        before = memory_of(old)
    with _naming(new):
        after = memory_of(new)
    sides = ((old, before), (new, after))
    lacking = tuple(image.name for image, result in sides if not len(result.frames))
    if lacking:
        return None, lacking if len(lacking) == 1 else ()
    return compare_memory(before, after), ()


@contextmanager
def _naming(image: Image) -> Iterator[None]:
    """Lets an error say which of two images it is about: both are open."""
    try:
        yield
    except XensaveError as error:
        error.source = error.source or image.name
        raise
