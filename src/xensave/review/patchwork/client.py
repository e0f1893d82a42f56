"""Patchwork's REST API, as far as a review needs it: series, their mails, checks.

A server is asked at most once in `pause` seconds, and again after an answer that says to come back
(429, 5xx, a connection that breaks). The token goes to the server itself and nowhere else: neither
a redirect nor a link in an answer leads to another host.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Literal, NamedTuple, TypeAlias

from xensave import __version__
from xensave.errors import Malformed, SourceError, UsageError

API = "/api/1.3"
_TIMEOUT = 30.0
_LARGEST = 32 << 20
_TRIES = 4
_LONGEST_WAIT = 60.0
_MOST_PAGES = 100
_AGAIN = (429, 500, 502, 503, 504)


CheckState: TypeAlias = Literal["success", "warning", "fail"]


class PatchEntry(NamedTuple):
    """A patch of a series: its number on the server, and the mail that brought it."""

    id: int
    name: str
    message_id: str


class Series(NamedTuple):
    """A series as the server lists it; `mbox` is where all its mails are.

    `missing` says what has not come yet: "2 of 5 patches have come", "" where all have.
    """

    id: int
    name: str
    mbox: str
    url: str
    patches: tuple[PatchEntry, ...]
    missing: str = ""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follow a redirect within the server, and none that would carry the token away."""

    def redirect_request(  # noqa: PLR0917 - the base class's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if _origin(newurl) != _origin(req.full_url):
            raise SourceError(f"{req.full_url}: leads to another server, {_origin(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(slots=True)
class Client:
    """A Patchwork server."""

    server: str
    token: str | None = None
    pause: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _last: float = field(default=0.0, init=False)
    _opener: urllib.request.OpenerDirector = field(init=False)

    def __post_init__(self) -> None:
        self.server = self.server.rstrip("/")
        if _origin(self.server)[0] not in ("http", "https"):
            raise UsageError(f"{self.server}: not an http:// or https:// address")
        self._opener = urllib.request.build_opener(_SameHost)

    def series(self, number: int) -> Series:
        """Returns a series by its number."""
        return _series(self._json(f"{self.server}{API}/series/{number}/"))

    def completed(self, project: str, since: str) -> Iterator[int]:
        """Yields the numbers of the series of a project that became complete since a time.

        Raises SourceError where the server gives too many pages.
        """
        words = {
            "project": project,
            "category": "series-completed",
            "since": since,
            "order": "date",
        }
        url: str | None = f"{self.server}{API}/events/?{urllib.parse.urlencode(words)}"
        seen: set[int] = set()
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            data, url = self._page(url)
            for event in _list(data):
                number = _number(_table(_table(_table(event).get("payload")).get("series")), "id")
                if number not in seen:
                    seen.add(number)
                    yield number
        raise SourceError(f"{self.server}: more than {_MOST_PAGES} pages of events")

    def mails(self, series: Series) -> bytes:
        """Returns all mails of a series as one mbox."""
        return self._ask(series.mbox)[0]

    def post_check(self, patch: int, state: CheckState, context: str, description: str) -> None:
        """Posts a check to a patch: `state` is success, warning or fail.

        Raises UsageError without a token.
        """
        if self.token is None:
            raise UsageError("posting a check needs a token")
        body = {"state": state, "context": context, "description": description}
        self._ask(f"{self.server}{API}/patches/{patch}/checks/", json.dumps(body).encode())

    def _json(self, url: str) -> object:
        return self._page(url)[0]

    def _page(self, url: str) -> tuple[object, str | None]:
        data, headers = self._ask(url)
        try:
            page: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"{url}: no JSON: {error}") from error
        return page, _next(headers.get("Link", ""))

    def _ask(self, url: str, body: bytes | None = None) -> tuple[bytes, http.client.HTTPMessage]:
        if _origin(url) != _origin(self.server):
            raise SourceError(f"{url}: not on {self.server}")
        for left in range(_TRIES - 1, -1, -1):
            self.sleep(max(self._last + self.pause - self.clock(), 0))
            self._last = self.clock()
            try:
                return self._once(url, body)
            except urllib.error.HTTPError as error:
                if error.code not in _AGAIN or not left:
                    raise SourceError(f"{url}: {error.code} {error.reason}") from error
                wait = _wait(error.headers.get("Retry-After"), left)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                # A check that was posted may have arrived: it is not posted twice.
                if not left or body is not None:
                    raise SourceError(f"{url}: {reason}") from error
                wait = _wait(None, left)
            self.sleep(wait)
        raise SourceError(f"{url}: no answer")

    def _once(self, url: str, body: bytes | None) -> tuple[bytes, http.client.HTTPMessage]:
        request = urllib.request.Request(url, data=body)
        request.add_header("User-Agent", f"xensave/{__version__}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.add_unredirected_header("Authorization", f"Token {self.token}")
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            data: bytes = answer.read(_LARGEST + 1)
            if len(data) > _LARGEST:
                raise SourceError(f"{url}: an answer of more than {_LARGEST >> 20} MiB")
            return data, answer.headers


def _origin(url: str) -> tuple[str, str]:
    """Returns what two addresses of one server share. Raises SourceError for what is no address."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise SourceError(f"{url}: no address: {error}") from error
    return parts.scheme, parts.netloc


def _wait(asked: str | None, left: int) -> float:
    if asked is not None and asked.isdigit() and len(asked) < 6:
        return min(float(asked), _LONGEST_WAIT)
    return float(2 ** (_TRIES - left - 1))


def _next(link: str) -> str | None:
    for part in link.split(","):
        url, _, relation = part.partition(";")
        if 'rel="next"' in relation:
            return url.strip().strip("<>")
    return None


def _series(data: object) -> Series:
    table = _table(data)
    return Series(
        _number(table, "id"),
        _text(table, "name"),
        _text(table, "mbox"),
        _text(table, "web_url"),
        tuple(
            PatchEntry(_number(patch, "id"), _text(patch, "name"), _text(patch, "msgid"))
            for patch in map(_table, _list(table.get("patches", [])))
        ),
        _missing(table),
    )


def _missing(table: dict[str, object]) -> str:
    if table.get("received_all", True) is not False:
        return ""
    return f"{table.get('received_total')} of {table.get('total')} patches have come"


def _table(data: object) -> dict[str, object]:
    if not isinstance(data, dict):
        raise Malformed("the server's answer is not what Patchwork's API has: no object")
    return data


def _list(data: object) -> list[object]:
    if not isinstance(data, list):
        raise Malformed("the server's answer is not what Patchwork's API has: no list")
    return data


def _number(table: dict[str, object], key: str) -> int:
    value = table.get(key)
    if not isinstance(value, int):
        raise Malformed(f"the server's answer is not what Patchwork's API has: no number {key!r}")
    return value


def _text(table: dict[str, object], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
