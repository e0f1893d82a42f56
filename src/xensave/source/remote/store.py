"""A store in fsspec's common words: listings, ranges, a look whether all is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar, cast

from xensave.errors import SourceError, UsageError
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import Changed, Denied, patient

T = TypeVar("T")
Info = dict[str, object]


class FileSystem(Protocol):
    """What is asked of fsspec's file systems."""

    def info(self, path: str) -> Info:
        """Returns what the store says of an object."""

    def glob(self, path: str, *, detail: bool) -> dict[str, Info]:
        """Returns the objects that a pattern matches."""

    def cat_file(self, path: str, start: int, end: int, **options: str) -> bytes:
        """Returns a range of an object's bytes."""

    def unstrip_protocol(self, name: str) -> str:
        """Returns a path as an address."""

    def invalidate_cache(self) -> None:
        """Forgets listings."""


class Store:
    """A store; it is opened by an address in it.

    Raises UsageError for an unknown scheme, ImportError where a package is missing.
    """

    wild = frozenset("*?[")
    """What makes a pattern of an address."""

    def __init__(self, address: str) -> None:
        fs, path = self._patient(lambda: self._open(address), address)
        self._fs = fs
        self._path = path

    def _open(self, address: str) -> tuple[FileSystem, str]:
        """Returns fsspec's file system for an address, and the path in it."""
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations

        scheme = address.partition("://")[0]
        if scheme not in known_implementations:
            raise UsageError(f"no scheme is called {scheme!r}").about(address)
        fs, path = url_to_fs(address)
        return cast(FileSystem, fs), str(path)

    def entry(self, address: str) -> StoreObject:
        """Returns what the store says of one object. Raises SourceError."""
        info = self._patient(lambda: self._fs.info(self._path), address)
        if info.get("type") != "file":
            raise SourceError("is no object").about(address)
        return self._entry_of(address, info)

    def is_pattern(self, address: str) -> bool:
        """Tells whether the path of an address has wild cards; the brackets of a host are none."""
        return bool(self.wild & set(address.partition("://")[2].partition("/")[2]))

    def matches(self, pattern: str) -> Iterator[StoreObject]:
        """Yields the objects that a pattern matches, sorted by name. Raises SourceError."""
        listing = self._patient(lambda: self._fs.glob(self._path, detail=True), pattern)
        for name, info in sorted(listing.items()):
            if info.get("type") == "file":
                yield self._entry_of(self._fs.unstrip_protocol(name), info)

    def fetch(self, of: StoreObject, start: int, end: int) -> bytes:
        """Returns the bytes from `start` to before `end`, of the object that the entry tells of.

        Short answers and failures of the store are tried again. Raises SourceError.
        """

        def once() -> bytes:
            data = self._range(of, start, end)
            if len(data) != end - start:
                raise OSError(f"{len(data)} of {end - start} bytes came")
            return data

        return self._patient(once, of.address)

    def stream(self, of: StoreObject) -> Callable[[int], bytes]:
        """Returns a function that gives the next bytes of an object without ranges.

        Raises SourceError for a store that gives ranges alone.
        """
        raise SourceError("the store gives no ranges").about(of.address)

    def check_unchanged(self, of: StoreObject) -> None:
        """Raises SourceError where the object is not the one that the entry tells of.

        It is called when the reading is done; a store that holds each range needs it not.
        """
        self._fs.invalidate_cache()
        if self.entry(of.address).key != of.key:
            raise SourceError("changed while it was read").about(of.address)

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        return bytes(self._fs.cat_file(self._path, start, end))

    def _entry_of(self, address: str, info: Info) -> StoreObject:
        size = info.get("size")
        if not isinstance(size, int):
            raise SourceError("the store does not say how large it is").about(address)
        changed = info.get("LastModified") or info.get("mtime") or info.get("updated")
        stamp = getattr(changed, "timestamp", None)
        mtime = float(stamp()) if callable(stamp) else None
        if mtime is None and isinstance(changed, (int, float)):
            mtime = float(changed)
        etag = info.get("ETag") or info.get("etag")
        generation = info.get("generation")
        return StoreObject(
            address,
            size,
            mtime,
            etag if isinstance(etag, str) else None,
            generation if isinstance(generation, str) else None,
        )

    def _patient(self, act: Callable[[], T], address: str) -> T:
        """Does it until it works; what this store's library raises is told apart by `_known`."""

        def sorted_out() -> T:
            try:
                return act()
            except Exception as error:
                known = self._known(error)
                if known is None:
                    raise
                raise known from error

        return patient(sorted_out, address)

    def _known(self, error: Exception) -> Changed | Denied | None:
        """Returns what an error of the store's library means, None where time may help."""
        return None
