"""Web servers: ranges where there are any, each held to the entity tag; else one stream."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Protocol, TypeVar, cast

from xensave.errors import LimitExceeded, SourceError
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import SILENCE, Changed, Denied, reason
from xensave.source.remote.store import FileSystem, Store

T = TypeVar("T")

_PARTIAL, _NO_SUCH_RANGE = 206, 416
_PASSING = frozenset({408, 425, 429})
"""Refusals that time may lift: a timeout, too early, too many requests."""


FOLDERS = 10_000
"""The most listings that a pattern is followed through: a server may make them up for ever."""


LISTING = 64 << 20
"""The most bytes of a listing, a hundred thousand links and more: a body may have no end."""


ANSWERS, ANSWER = 16, 64 << 10
"""The most answers that make up a range, and beyond them one for each so many bytes of it.

A server may give less than was asked for, and one that always gives a few bytes would be asked for
each few bytes of what it claims.
"""


class _Content(Protocol):
    async def read(self, n: int) -> bytes: ...


class _Answer(Protocol):
    status: int
    reason: str
    headers: Mapping[str, str]
    content: _Content

    async def __aenter__(self) -> _Answer: ...

    async def __aexit__(self, *error: object) -> None: ...

    def close(self) -> None: ...


class _Session(Protocol):
    def get(self, url: object, **options: object) -> _Answer: ...


class _Http(Protocol):
    """What fsspec's HTTP has beside its common words."""

    loop: object
    kwargs: dict[str, object]
    client_kwargs: dict[str, object]

    def ls(self, url: str, detail: bool = False) -> list[str]: ...

    def encode_url(self, url: str) -> object: ...

    async def set_session(self) -> _Session: ...


class HttpStore(Store):
    """A web server. The first answer tells whether it gives ranges.

    With `ranges` false in an entry the object is had by `stream` alone.
    """

    wild = frozenset("*[")

    def _open(self, address: str) -> tuple[FileSystem, str]:
        fs, path = super()._open(address)
        # fsspec takes the whole of a listing, however long; it makes a session when first asked.
        cast(_Http, fs).client_kwargs.setdefault("response_class", _listings())
        return fs, path

    def entry(self, address: str) -> StoreObject:
        """Asks for the first byte alone: whoever gives ranges says then how large the whole is."""

        async def ask(answer: _Answer) -> StoreObject:
            if answer.status == _NO_SUCH_RANGE:
                return StoreObject(address, 0)
            _check(answer)
            return _entry(address, answer)

        return self._patient(lambda: self._ask({"Range": "bytes=0-0"}, ask), address)

    def is_pattern(self, address: str) -> bool:
        """Tells whether an address has wild cards; what follows a question mark has none."""
        return super().is_pattern(address.partition("?")[0])

    def matches(self, pattern: str) -> Iterator[StoreObject]:
        """Yields what the links of a server's listings name, each asked for its size."""
        from fsspec.utils import glob_translate

        wanted = re.compile(glob_translate(pattern))
        for name in self._listed(pattern):
            if wanted.match(name) and "?" not in name:
                yield HttpStore(name).entry(name)

    def _listed(self, pattern: str) -> list[str]:
        """Returns the files that listings name, down to where the pattern may reach."""
        first = min(pattern.find(each) for each in self.wild if each in pattern)
        root, rest = pattern[: pattern.rindex("/", 0, first) + 1], pattern[first:]
        depth = FOLDERS if "**" in rest else rest.count("/")
        files: set[str] = set()
        folders, seen = {root}, {root}
        for _ in range(depth + 1):
            below: set[str] = set()
            for folder in sorted(folders):
                links = self._links(folder)
                files |= {name for name in links if not name.endswith("/")}
                below |= {name for name in links if name.endswith("/")} - seen
            seen |= below
            if len(seen) > FOLDERS:
                raise LimitExceeded(f"{pattern}: more than {FOLDERS} folders")
            folders = below
        return sorted(files)

    def _links(self, folder: str) -> list[str]:
        return self._patient(lambda: self._http.ls(folder, detail=False), folder)

    def check_unchanged(self, of: StoreObject) -> None:
        """Does nothing: each answer was of the object that was seen first."""

    def stream(self, of: StoreObject) -> Callable[[int], bytes]:
        """Returns a function that gives the next bytes of an object that comes as a whole."""
        from fsspec.asyn import sync

        async def start() -> _Answer:
            http = self._http
            session = await http.set_session()
            answer = await cast(
                "Awaitable[_Answer]", session.get(http.encode_url(self._path), **self._options({}))
            )
            _check(answer)
            _check_same(of, _entry(of.address, answer))
            return answer

        answer = self._patient(lambda: cast(_Answer, sync(self._http.loop, start)), of.address)

        def pull(n: int) -> bytes:
            try:
                return bytes(sync(self._http.loop, answer.content.read, n))
            except Exception as error:
                raise SourceError(reason(error)).about(of.address) from error

        return pull

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        """Returns a range; a server may give less of it than was asked for, not too often."""

        async def take(answer: _Answer) -> bytes:
            if answer.status == _NO_SUCH_RANGE:
                raise Changed
            _check(answer)
            now = _entry(of.address, answer)
            _check_same(of, now)
            if answer.status != _PARTIAL:
                raise OSError("the server gives no range any more")
            if _place(answer) != start + len(data):
                raise OSError(f"the server gave another range: {answer.headers['Content-Range']}")
            return await _at_most(answer, end - start - len(data))

        data = b""
        answers, most = 0, ANSWERS + (end - start) // ANSWER
        while len(data) < end - start:
            if answers == most:
                raise LimitExceeded(
                    f"the server gave {len(data)} of {end - start} bytes in {most} answers"
                ).about(of.address)
            more = self._ask({"Range": f"bytes={start + len(data)}-{end - 1}"}, take)
            if not more:
                break
            data += more
            answers += 1
        return data

    @property
    def _http(self) -> _Http:
        return cast(_Http, self._fs)

    def _ask(self, headers: dict[str, str], use: Callable[[_Answer], Awaitable[T]]) -> T:
        from fsspec.asyn import sync

        async def ask() -> T:
            session = await self._http.set_session()
            url = self._http.encode_url(self._path)
            async with session.get(url, **self._options(headers)) as answer:
                return await use(answer)

        return cast(T, sync(self._http.loop, ask))

    def _options(self, headers: dict[str, str]) -> dict[str, object]:
        from aiohttp import ClientTimeout

        options = dict(self._http.kwargs)
        own = cast("dict[str, str]", options.get("headers") or {})
        # Ranges are of what lies there, not of what a compression made of it.
        options["headers"] = {**own, "Accept-Encoding": "identity", **headers}
        # What a server says is compressed (Apache does of a .gz) is opened here, with its limits.
        options["auto_decompress"] = False
        if "timeout" not in options and "timeout" not in self._http.client_kwargs:
            options["timeout"] = ClientTimeout(sock_connect=SILENCE, sock_read=SILENCE)
        return options


@cache
def _listings() -> type[object]:
    """Returns aiohttp's answer, but that the whole of it is read only up to LISTING."""
    from aiohttp import ClientResponse

    class Bounded(ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                parts = bytearray()
                while part := await self.content.readany():
                    parts += part
                    if len(parts) > LISTING:
                        self.close()
                        raise LimitExceeded(f"{self.url}: a listing of more than {LISTING:,} bytes")
                self._body = bytes(parts)
            return await super().read()

    return Bounded


async def _at_most(answer: _Answer, most: int) -> bytes:
    """Returns what an answer holds; OSError where that is more, however much it would be."""
    parts = bytearray()
    while part := await answer.content.read(most + 1 - len(parts)):
        parts += part
        if len(parts) > most:
            raise OSError(f"the server gave more than the {most} bytes that were asked for")
    return bytes(parts)


def _check(answer: _Answer) -> None:
    """Raises what a refusal means."""
    if answer.status < 400:
        return
    text = f"{answer.status} {answer.reason}".strip()
    if answer.status < 500 and answer.status not in _PASSING:
        raise Denied(text)
    raise OSError(text)


def _check_same(of: StoreObject, now: StoreObject) -> None:
    if now.key != of.key:
        raise Changed


def _entry(address: str, answer: _Answer) -> StoreObject:
    """Returns what an answer says of the whole object."""
    headers = answer.headers
    ranges = answer.status == _PARTIAL
    length = headers.get("Content-Length") if not ranges else _total(answer)
    known = length is not None and _is_number(length)
    return StoreObject(
        address,
        int(length) if known and length is not None else -1,
        _stamp(headers.get("Last-Modified")),
        headers.get("ETag"),
        ranges=ranges and known,
    )


def _total(answer: _Answer) -> str | None:
    """Returns the size that stands behind the slash of Content-Range."""
    return answer.headers.get("Content-Range", "").rpartition("/")[2] or None


def _place(answer: _Answer) -> int:
    """Returns where the range that came begins; -1 where the server does not say."""
    first = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if _is_number(first) else -1


def _is_number(text: str) -> bool:
    """Whether a server says a number: Python refuses to read one of thousands of digits."""
    return text.isdecimal() and len(text) < 20


def _stamp(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
