"""A store for tests: moto's S3 on this machine, and a proxy before it that makes trouble."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Trouble:
    """What the proxy does to the next requests for objects: a list of words, used up in order.

    A number answers with that status, "cut" sends half the body, "change" lets `change` run first,
    "silent" does too and then says nothing until the other side is gone, "drop" hangs up. `gone`
    tells of a path that the object meant is no more.
    """

    def __init__(self) -> None:
        self.plan: list[str] = []
        self.change: Callable[[], None] = lambda: None
        self.gone: Callable[[str], bool] = lambda _: False
        self.requests: list[tuple[str, str, int]] = []

    def next(self) -> str:
        return self.plan.pop(0) if self.plan else ""


class Server:
    """A server of HTTP on this machine, which answers from when it is made until it is closed."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
    ) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a client that has what it wants hangs up
        scheme = "http"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy(Server):
    """An HTTP proxy before a store; counts requests and bytes, and makes the trouble told.

    What begins with `objects` and lists nothing is a request for an object: that has the trouble.
    """

    def __init__(self, upstream: str, objects: str = "/") -> None:
        self.trouble = Trouble()
        parts = urlsplit(upstream)
        where = (parts.hostname or "", parts.port or 80)
        handler = type(
            "Handler", (_Handler,), {"trouble": self.trouble, "where": where, "objects": objects}
        )
        super().__init__(handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    trouble: Trouble
    where: tuple[str, int]
    objects: str

    def log_message(self, *_: object) -> None:
        return

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        of_object = (
            self.command == "GET"
            and self.path.startswith(self.objects)
            and "list-type" not in self.path
        )
        act = self.trouble.next() if of_object else ""
        if act == "change":
            self.trouble.change()
        elif act == "drop":
            self.close_connection = True
            return
        elif act.isdecimal():
            self._status(int(act))
            return
        if self.trouble.gone(self.path):
            self._status(404)
            return
        self._answer(body, cut=act == "cut")

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, body: bytes, *, cut: bool) -> None:
        upstream = http.client.HTTPConnection(*self.where)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        self.trouble.requests.append((self.command, self.path, len(data)))
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(key, value)
        stated = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", stated or str(len(data)))
        self.end_headers()
        if cut:
            self.close_connection = True
        self.wfile.write(data[: len(data) // 2] if cut else data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815
