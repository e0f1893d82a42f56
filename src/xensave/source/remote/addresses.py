"""Addresses (`s3://bucket/guest.img`): what lies behind them, and ranges of its bytes.

fsspec reaches each scheme; credentials and endpoints are what it takes from its own
configuration and environment. A range is asked for alone, without read-ahead, and held to the
object that was first seen: an object that changes while it is read is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar, cast

from xensave.errors import MissingExtra, SourceError, UsageError

T = TypeVar("T")
Info = dict[str, object]


class FileSystem(Protocol):
    """What is asked of fsspec's file systems."""

    def info(self, path: str) -> Info:
        """Return what the store says of an object."""

    def glob(self, path: str, *, detail: bool) -> dict[str, Info]:
        """Return the objects that a pattern matches."""

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        """Return a range of an object's bytes."""

    def unstrip_protocol(self, name: str) -> str:
        """Return a path as an address."""

    def invalidate_cache(self) -> None:
        """Forget listings."""


ATTEMPTS = 5
"""How often a range is asked for before the reading of an object is given up ..."""

BACKOFF = 0.2
"""... with this many seconds before the second time, and twice as many before each next one."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http",
           "sftp": "sftp", "ssh": "sftp"}  # fmt: skip
_S3_SCHEMES = frozenset({"s3", "s3a"})
_WILD = frozenset("*?[")
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError)


class _S3(Protocol):
    """What s3fs has beside that."""

    loop: object

    def split_path(self, path: str) -> tuple[str, str, str | None]:
        """Return bucket, key and version."""

    async def _call_s3(self, method: str, **kwargs: str) -> dict[str, _Body]: ...


class _Body(Protocol):
    async def __aenter__(self) -> _Body: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def read(self) -> bytes: ...


class Entry(NamedTuple):
    """An object: its address, its size in bytes, its seconds of change and its entity tag."""

    address: str
    size: int
    mtime: float | None = None
    etag: str | None = None


def is_address(text: str) -> bool:
    """Tell whether this is an address with a scheme; `file://` ones are paths.

    >>> is_address("s3://bucket/a.img"), is_address("images/a.img"), is_address("file:///a.img")
    (True, False, False)
    """
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.isalnum() and scheme not in ("file", "local")


def local_path(text: str) -> str:
    """Return the path that a `file://` address names; other text as it is.

    >>> local_path("file:///var/lib/xen/a.img"), local_path("a.img")
    ('/var/lib/xen/a.img', 'a.img')
    """
    for prefix in ("file://", "local://"):
        if text.startswith(prefix):
            return text[len(prefix) :]
    return text


def expand(address: str) -> Iterator[Entry]:
    """Yield the objects that an address names: itself, or all that its wild cards match.

    Raises SourceError where there is none, or the store cannot be reached.
    """
    if not _WILD & set(address):
        yield entry(address)
        return
    fs, path = filesystem(address)
    listing = _patient(lambda: fs.glob(path, detail=True), address)
    found = False
    for name, info in sorted(listing.items()):
        if info.get("type") == "file":
            found = True
            yield _entry_of(fs.unstrip_protocol(name), info)
    if not found:
        raise SourceError(f"{address}: nothing matches")


def entry(address: str) -> Entry:
    """Return what a store says of one object. Raises SourceError."""
    fs, path = filesystem(address)
    info = _patient(lambda: fs.info(path), address)
    if info.get("type") != "file":
        raise SourceError(f"{address}: is no object")
    return _entry_of(address, info)


def fetch(of: Entry, start: int, end: int) -> bytes:
    """Return the bytes from `start` to before `end`, as they were when the entry was made.

    Short answers and failures of the store are tried again. Raises SourceError.
    """
    fs, path = filesystem(of.address)
    s3 = of.address.partition("://")[0] in _S3_SCHEMES

    def once() -> bytes:
        data = _s3_range(fs, path, of, start, end) if s3 else fs.cat_file(path, start, end)
        if len(data) != end - start:
            raise OSError(f"{len(data)} of {end - start} bytes came")
        return bytes(data)

    return _patient(once, of.address)


def check_unchanged(of: Entry) -> None:
    """Raise SourceError where the object is not the one that the entry tells of.

    S3 checks this with each range; of other stores it is asked when the reading is done.
    """
    if of.address.partition("://")[0] in _S3_SCHEMES:
        return
    fs, _ = filesystem(of.address)
    fs.invalidate_cache()
    now = entry(of.address)
    if (now.size, now.mtime, now.etag) != (of.size, of.mtime, of.etag):
        raise SourceError(f"{of.address}: changed while it was read")


def filesystem(address: str) -> tuple[FileSystem, str]:
    """Return fsspec's file system for an address, and the path in it.

    Raises UsageError for an unknown scheme or one whose extra is not installed.
    """
    scheme = address.partition("://")[0]
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(address)
    except ImportError as error:
        extra = _EXTRAS.get(scheme, "fleet")
        raise MissingExtra(f"reading {scheme}://", error.name or "fsspec", extra) from error
    except ValueError as error:
        raise UsageError(f"{address}: no scheme is called {scheme!r}") from error
    return cast(FileSystem, fs), str(path)


def _s3_range(fs: FileSystem, path: str, of: Entry, start: int, end: int) -> bytes:
    """Ask S3 for a range of the very object that was seen: s3fs has no way to name its tag."""
    from fsspec.asyn import sync

    store = cast("_S3", fs)
    bucket, key, version = store.split_path(path)
    extra = {"VersionId": version} if version else {}
    if of.etag:
        extra["IfMatch"] = of.etag

    async def read() -> bytes:
        answer = await store._call_s3(
            "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", **extra
        )
        async with answer["Body"] as body:
            return bytes(await body.read())

    return bytes(sync(store.loop, read))


def _patient(act: Callable[[], T], address: str) -> T:
    """Do it until it works; a store's hiccup costs a wait, not the answer."""
    wait = BACKOFF
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return act()
        except _LASTING as error:
            raise SourceError(f"{address}: {_reason(error)}") from error
        except Exception as error:
            if _is_changed(error):
                raise SourceError(f"{address}: changed while it was read") from error
            if attempt == ATTEMPTS:
                raise SourceError(f"{address}: {_reason(error)}") from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("the last attempt returns or raises")


def _is_changed(error: BaseException) -> bool:
    """Tell a failed If-Match (412) from other answers of S3, through what wraps it."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412)
        cause = cause.__cause__ or cause.__context__
    return False


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:200]


def _entry_of(address: str, info: Info) -> Entry:
    size = info.get("size")
    if not isinstance(size, int):
        raise SourceError(f"{address}: the store does not say how large it is")
    changed = info.get("LastModified") or info.get("mtime") or info.get("updated")
    stamp = getattr(changed, "timestamp", None)
    mtime = float(stamp()) if callable(stamp) else None
    if mtime is None and isinstance(changed, (int, float)):
        mtime = float(changed)
    etag = info.get("ETag") or info.get("etag")
    return Entry(address, size, mtime, etag if isinstance(etag, str) else None)
