"""An object behind an address: read by ranges, its head and tail fetched once and kept."""

from __future__ import annotations

from xensave.errors import LimitExceeded
from xensave.source.base import RangeSource, Source
from xensave.source.limits import CHUNK, MIB, READ_LIMIT
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.store import Store
from xensave.source.remote.stores import store_of
from xensave.source.stream import StreamSource

HEAD = CHUNK
"""What is fetched where reading begins: it holds all that stands before the pages."""

TAIL = 256 * 1024
"""What is fetched of the end once something there is asked for."""

AHEAD = 8 * MIB
"""The most that is fetched at once where one range follows the other."""

_BLOCKS = 4


class RemoteSource(RangeSource):
    """A source over an object of a store; what was fetched last stays, within some mebibytes.

    Reads that follow each other are fetched in growing ranges, a read elsewhere alone.
    """

    def __init__(self, of: StoreObject, store: Store, *, max_size: int | None = None) -> None:
        super().__init__(of.address, of.size, max_size)
        self.entry = of
        self._store = store
        self._blocks: list[tuple[int, bytes]] = []
        self._end = -1
        self._ahead = HEAD

    def _range(self, offset: int, n: int) -> memoryview:
        if n > READ_LIMIT:
            raise LimitExceeded(f"asked for {n} bytes at once, the limit is {READ_LIMIT}")
        for start, block in self._blocks:
            if start <= offset and offset + n <= start + len(block):
                return memoryview(block)[offset - start : offset - start + n]
        start, block = self._load(offset, n)
        return memoryview(block)[offset - start : offset - start + n]

    def again(self) -> RemoteSource:
        """Returns the same object, read from its start."""
        other = RemoteSource(self.entry, self._store, max_size=self.max_size)
        other.format = self.format
        return other

    def close(self) -> None:
        """Lets go of what was fetched. Raises SourceError where the object has changed since."""
        if self._blocks:
            self._blocks = []
            self._store.check_unchanged(self.entry)

    def _load(self, offset: int, n: int) -> tuple[int, bytes]:
        if offset == self._end:
            self._ahead = min(self._ahead * 2, AHEAD)
        else:
            self._ahead = HEAD
        start, end = offset, offset + max(n, self._ahead)
        if self._length - TAIL <= offset:
            start, end = max(0, self._length - TAIL), self._length
        end = min(end, self._length)
        block = self._store.fetch(self.entry, start, end)
        self._end = end
        self._blocks = [*self._blocks[-_BLOCKS + 1 :], (start, block)]
        return start, block


def open_address(address: str, *, max_size: int | None = None) -> Source:
    """Opens an object by its address: by ranges, or as a stream where the store has none.

    Raises SourceError and UsageError.
    """
    store = store_of(address)
    of = store.entry(address)
    if of.ranges:
        return RemoteSource(of, store, max_size=max_size)
    return _streamed(of, store, max_size)


def _streamed(of: StoreObject, store: Store, max_size: int | None) -> Source:
    return StreamSource(
        store.stream(of),
        of.address,
        again=lambda: _streamed(of, store, max_size),
        max_size=max_size,
    )
