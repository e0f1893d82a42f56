"""A web server for tests: objects in memory, with or without ranges, tags, lengths, and trouble."""

from __future__ import annotations

import ssl
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.fleet.servers.store import Server, Trouble


class Web(Server):
    """A server of `objects` (path to bytes); `tags` and `ranges` and `length` can be taken away.

    What lies below `/moved/` is redirected; a folder answers with links; `trouble` is used up by
    requests for objects, in their order.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.trouble = Trouble()
        self.ranges = self.tags = self.length = True
        # The most bytes that an answer has.
        self.most = 1 << 40
        self.encoding = ""
        self.changed = 1_700_000_000
        handler = type("Handler", (_Handler,), {"web": self})
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        super().__init__(handler, context)

    def put(self, key: str, data: bytes) -> str:
        self.objects[f"/{key}"] = data
        return f"{self.url}/{key}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: object) -> None:
        return

    def do_HEAD(self) -> None:
        self._empty(405)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/"):
            self._listing(path)
        elif path.startswith("/moved/"):
            self._empty(302, Location=self.web.url + path.removeprefix("/moved"))
        elif path not in self.web.objects:
            self._empty(404)
        else:
            self._object(path, self.web.trouble.next())

    def _object(self, path: str, act: str) -> None:
        if act.isdecimal():
            self._empty(int(act))
        elif act == "drop":
            self.close_connection = True
        elif act == "silent":
            self.web.trouble.change()
            self.rfile.read(1)
            self.close_connection = True
        else:
            if act == "change":
                self.web.trouble.change()
            self._part(self.web.objects[path], act)

    def _part(self, data: bytes, act: str) -> None:
        asked = self.headers.get("Range", "").removeprefix("bytes=") if self.web.ranges else ""
        start, end = _range(asked, len(data), act)
        end = min(end, start + self.web.most)
        if asked and start >= len(data):
            self._empty(416)
            return
        part = data[start:end]
        self.web.trouble.requests.append((self.command, self.path, len(part)))
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if self.web.tags:
            self.send_header("ETag", f'"{hash(data):x}"')
            self.send_header("Last-Modified", self.date_time_string(self.web.changed))
        if self.web.encoding:
            self.send_header("Content-Encoding", self.web.encoding)
        if self.web.length and act != "endless":
            self.send_header("Content-Length", str(len(part)))
        self.close_connection = act in ("cut", "endless") or not self.web.length
        self.end_headers()
        if act == "endless":
            part *= 1000
        self.wfile.write(part[: len(part) // 2] if act == "cut" else part)

    def _listing(self, folder: str) -> None:
        names = sorted(
            {
                rest.partition("/")[0] + "/" * ("/" in rest)
                for path in self.web.objects
                if path.startswith(folder) and (rest := path.removeprefix(folder))
            }
        )
        body = "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _range(asked: str, size: int, act: str) -> tuple[int, int]:
    """Return where the part that is sent begins and ends."""
    if not asked:
        return 0, size
    first, _, last = asked.partition("-")
    start, end = int(first), min(int(last) + 1, size)
    if act == "short":
        end = start + max(1, (end - start) // 2)
    elif act == "other":
        start, end = start - 1, end - 1
    return start, end


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1; return its file and its key's."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(made)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made, key
