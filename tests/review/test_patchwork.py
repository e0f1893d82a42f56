"""`xensave patchwork` against a server that answers as Patchwork's API does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest

from xensave.cli import main
from xensave.errors import SourceError, UsageError
from xensave.review.patchwork.client import Client
from xensave.views.schemas import schema

V1 = (Path(__file__).parents[1] / "data/patches/v1.mbox").read_bytes()
MESSAGE_ID = "<20191218160926.12538-1-pdurrant@amazon.com>"
OTHER = b"""From a@b Mon Dec  5 10:00:00 2022
From: A <a@b.example>
Subject: [PATCH] docs
Message-ID: <2@b>

---
diff --git a/README b/README
--- a/README
+++ b/README
@@ -1,1 +1,1 @@
-a
+b
"""


class Patchwork(BaseHTTPRequestHandler):
    """A stub: two series, pages of events, checks, and trouble where a test asks for it."""

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def trouble(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        if self.server.trouble:
            self.answer(*self.server.trouble.pop(0)[:1], Retry_After="0")
            return True
        return False

    def do_GET(self):
        if self.trouble():
            return
        base = f"http://127.0.0.1:{self.server.server_port}"
        path = self.path
        if path.startswith("/api/1.3/events/"):
            last = "page=2" in path
            events = [{"payload": {"series": {"id": 2 if last else 1}}}]
            link = {} if last else {"Link": f'<{base}{path}&page=2>; rel="next"'}
            self.answer(200, json.dumps(events).encode(), **link)
        elif path in ("/api/1.3/series/1/", "/api/1.3/series/2/"):
            number = int(path.split("/")[-2])
            patch = {"id": 10 + number, "name": "a patch", "msgid": MESSAGE_ID}
            self.answer(
                200,
                json.dumps(
                    {
                        "id": number,
                        "name": f"series {number}",
                        "web_url": f"{base}/project/x/list/?series={number}",
                        "mbox": f"{self.server.mbox or base}/series/{number}/mbox/",
                        "patches": [patch],
                    }
                ).encode(),
            )
        elif path == "/series/1/mbox/":
            self.answer(200, V1)
        elif path == "/series/2/mbox/":
            self.answer(200, OTHER)
        elif path == "/api/1.3/series/5/":
            parts = {"received_all": False, "received_total": 1, "total": 2, "patches": []}
            self.answer(200, json.dumps({"id": 5, "name": "a part", **parts}).encode())
        elif path == "/api/1.3/series/3/":
            self.answer(302, Location="http://localhost:1/elsewhere")
        elif path == "/api/1.3/series/4/":
            self.answer(200, b"<html>")
        else:
            self.answer(404)

    def do_POST(self):
        if self.trouble():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, self.headers["Authorization"], body))
        self.answer(201, b"{}")


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Patchwork) as found:
        found.asked, found.posted, found.trouble, found.mbox = [], [], [], None
        found.url = f"http://127.0.0.1:{found.server_port}"
        thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        found.shutdown()


def patchwork(capsys, server, *words):
    code = main(["patchwork", "--server", server.url, "--pause", "0", *words])
    return code, *capsys.readouterr()


def test_a_series_that_is_not_complete_is_told(capsys, server):
    code, out, err = patchwork(capsys, server, "--series", "5")
    assert code == 2
    assert "is not complete: 1 of 2 patches have come" in out + err
    assert "no objection" not in out


def test_a_dry_run_posts_nothing(capsys, server):
    code, out, err = patchwork(capsys, server, "--series", "1")
    assert (code, err) == (1, "")
    assert out.startswith(f"series 1: series 1 {server.url}/project/x/list/?series=1\n")
    assert "error: 35 - 40 would be headroom for Amazon" in out
    assert "would post to patch 11: fail, " in out
    assert server.posted == []


def test_checks_are_posted_with_the_token(capsys, server, monkeypatch, tmp_path):
    monkeypatch.setenv("XENSAVE_PATCHWORK_TOKEN", "abc123")
    code, out, _ = patchwork(capsys, server, "--series", "1", "--post")
    assert code == 1
    [(path, token, body)] = server.posted
    assert (path, token) == ("/api/1.3/patches/11/checks/", "Token abc123")
    assert (body["state"], body["context"]) == ("fail", "xensave-review")
    assert "RESERVATION_EXCEEDS_USE" in body["description"]
    assert "posted to patch 11" in out
    # Reading takes no token.
    assert {token for method, _, token in server.asked if method == "GET"} == {None}
    file = tmp_path / "token"
    file.write_text("def456\n")
    patchwork(capsys, server, "--series", "1", "--post", "--token-file", str(file))
    assert server.posted[1][1] == "Token def456"


@pytest.mark.parametrize("token", ["", "a b", "x\ny: z"])
def test_without_a_token_nothing_is_asked(capsys, server, monkeypatch, token):
    monkeypatch.setenv("XENSAVE_PATCHWORK_TOKEN", token)
    code, _, err = patchwork(capsys, server, "--series", "1", "--post")
    assert code == 2
    assert "--post needs a token" in err
    assert server.asked == []


def test_all_since_a_date_page_by_page(capsys, server):
    words = ("--project", "xen-devel", "--since", "2026-11-01", "--json")
    code, out, _ = patchwork(capsys, server, *words)
    rows = json.loads(out)
    jsonschema.validate(rows, schema("patchwork"))
    assert code == 1
    assert [(row["series"], bool(row["objections"])) for row in rows] == [(1, True), (2, False)]
    assert rows[0]["checks"][0]["patch"] == 11
    first = server.asked[0][1]
    assert "project=xen-devel" in first
    assert "category=series-completed" in first
    assert "since=2026-11-01" in first


def test_a_run_that_was_broken_off_goes_on(capsys, server, monkeypatch, tmp_path):
    monkeypatch.setenv("XENSAVE_PATCHWORK_TOKEN", "t")
    state = str(tmp_path / "state.json")
    words = ("--series", "1", "--series", "9", "--post", "--state", state)
    code, _, err = patchwork(capsys, server, *words)
    assert code == 2
    assert "404" in err
    assert json.loads(Path(state).read_text())["series"] == [1]
    patchwork(capsys, server, "--series", "1", "--series", "2", "--post", "--state", state)
    assert len(server.posted) == 1
    assert json.loads(Path(state).read_text())["series"] == [1, 2]


def test_a_dry_run_leaves_what_is_still_to_be_posted(capsys, server, tmp_path):
    state = tmp_path / "state.json"
    patchwork(capsys, server, "--series", "1", "--state", str(state))
    assert not state.exists()


@pytest.mark.parametrize("trouble", [[(503,)], [(429,), (500,), (502,)]])
def test_a_server_that_says_to_come_back(capsys, server, trouble):
    server.trouble = list(trouble)
    assert patchwork(capsys, server, "--series", "2")[0] == 0


def test_a_server_that_keeps_saying_so(capsys, server):
    server.trouble = [(503,)] * 9
    code, _, err = patchwork(capsys, server, "--series", "2")
    assert code == 2
    assert "503" in err
    assert len(server.asked) == 4


def test_a_refusal_is_not_asked_again(capsys, server, monkeypatch):
    monkeypatch.setenv("XENSAVE_PATCHWORK_TOKEN", "t")
    server.trouble = [(403,)]
    assert patchwork(capsys, server, "--series", "1", "--post")[0] == 2
    assert len(server.asked) == 1


def test_requests_are_kept_apart():
    now = [100.0]
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    client = Client("http://127.0.0.1:1", pause=5.0, sleep=sleep, clock=lambda: now[0])
    with pytest.raises(SourceError, match="refused"):
        client.series(1)
    # Between tries a second, two and four, and what is left of the pause.
    assert slept == [0.0, 1.0, 4.0, 2.0, 3.0, 4.0, 1.0]


def test_links_and_redirects_lead_nowhere_else(capsys, server):
    server.mbox = "http://localhost:1"
    code, _, err = patchwork(capsys, server, "--series", "1")
    assert code == 2
    assert "http://localhost:1/series/1/mbox/: not on" in err
    code, _, err = patchwork(capsys, server, "--series", "3")
    assert code == 2
    assert "leads to another server" in err


def test_an_answer_that_is_none(capsys, server):
    code, _, err = patchwork(capsys, server, "--series", "4")
    assert code == 2
    assert "no JSON" in err


def test_addresses():
    with pytest.raises(UsageError, match="not an http"):
        Client("file:///etc/passwd")


def test_since_needs_a_project(capsys, server):
    assert patchwork(capsys, server, "--since", "2026-01-01")[0] == 2
