"""What lies behind an address, before any of its bytes are asked for.

A range is asked for alone, without read-ahead, and held to the object that was first seen: an
object that changes while it is read is an error.
"""

from __future__ import annotations

from typing import NamedTuple

Key = tuple[int, float | None, str | None]
"""What tells an object from a later one at its address: size, time of change, entity tag."""


class StoreObject(NamedTuple):
    """An object: its address, its size in bytes, its seconds of change and its entity tag.

    `size` is -1 where the store does not say. `generation` is what Google's store counts versions
    by. Without `ranges` the store gives the whole object or nothing.
    """

    address: str
    size: int
    mtime: float | None = None
    etag: str | None = None
    generation: str | None = None
    ranges: bool = True

    @property
    def key(self) -> Key:
        """What tells it from a later object at its address."""
        return self.size, self.mtime, self.etag
