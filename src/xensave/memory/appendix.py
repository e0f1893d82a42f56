"""Pages that a reader makes, which lie in no input: behind a copy of the input, in an unnamed file.

Only the compressed batches of a legacy Remus stream have such pages.
"""

from __future__ import annotations

import os

from xensave.source import Source
from xensave.source.base import write_all
from xensave.source.memory import MappedSource
from xensave.source.spill import mapped, unnamed_file


class Appendix:
    """Takes pages, and says where they lie in `source`, which is the input until there are any."""

    def __init__(self, source: Source) -> None:
        self._input = source
        self._fd = -1
        self._end = source.size or 0

    def holds(self, end: int) -> bool:
        """Tells whether the input reaches to an offset."""
        return end <= (self._input.size or 0)

    def add(self, pages: bytes | memoryview) -> int:
        """Keeps pages; returns the offset of the first."""
        if self._fd < 0:
            self._fd = self._copied()
        offset = self._end
        write_all(self._fd, memoryview(pages))
        self._end += len(pages)
        return offset

    @property
    def source(self) -> Source:
        """The input, and behind it what was added. Ask once, when all was added."""
        if self._fd < 0:
            return self._input
        return MappedSource(self._fd, 0, self._input.name, owned=True)

    def _copied(self) -> int:
        source = mapped(self._input, [(0, self._end)])
        with unnamed_file() as file:
            fd = os.dup(file.fileno())
        source.copy_range(0, self._end, fd, sparse=True)
        return fd
