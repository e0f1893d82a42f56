"""http:// and https://: servers with and without ranges, their refusals, and what changes."""

import gzip
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp", reason="http:// needs aiohttp: pip install 'xensave[http]'")

from tests.fleet.servers.web import Web, certificate
from xensave.container.walk import walk
from xensave.errors import LimitExceeded, SourceError, Truncated
from xensave.image import open_image
from xensave.image.glance import glance
from xensave.source import open_source, read_all
from xensave.source.remote import http
from xensave.source.remote.stores import expand


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr("xensave.source.remote.patience.BACKOFF", 0.01)
    server = Web()
    yield server
    server.close()


def labels(events):
    return [(each.label, each.offset) for each in events if "PAGE" not in each.label]


def test_a_glance_takes_few_ranges(web, sample):
    address = web.put("a.img", sample)
    with open_source(sample) as source:
        wanted = labels(walk(source))
    with open_source(address) as source:
        assert labels(glance(source)) == wanted
    assert len(web.trouble.requests) <= 3
    assert sum(size for *_, size in web.trouble.requests) < 1 << 20


@pytest.mark.parametrize("length", [True, False])
def test_a_server_without_ranges_is_read_as_a_stream(web, sample, length):
    web.ranges, web.length = False, length
    address = web.put("a.img", sample)
    with open_source(sample) as source:
        wanted = labels(walk(source))
    with open_image(address, glance=True) as found:
        assert labels(found.glance()) == wanted
        assert found.guest == "hvm1"
        assert found.size == len(sample)


@pytest.mark.parametrize("act", ["500", "503", "429", "408", "cut", "drop", "short", "other"])
def test_trouble_costs_a_wait_not_the_answer(web, sample, act):
    address = web.put("a.img", sample)
    web.trouble.plan = [act] if act not in ("short", "other") else []
    with open_source(address) as source:
        web.trouble.plan = [act]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]
        web.trouble.plan = [act, act]
        assert bytes(source.view(len(sample) - 50, 50)) == sample[-50:]


def test_a_server_may_give_less_of_a_range_but_not_crumbs(web, sample):
    address = web.put("a.img", sample)
    web.most = http.ANSWER // 4
    with open_source(address) as source:
        assert bytes(source.view(10_000_000, 300_000)) == sample[10_000_000:10_300_000]
    web.most, web.trouble.requests = 100, []
    with pytest.raises(LimitExceeded, match="1700 of 65536 bytes"):
        open_source(address)
    # One asks for the size; what is refused is not asked for again.
    assert len(web.trouble.requests) == 1 + http.ANSWERS + 1


def test_an_answer_that_does_not_come_is_asked_for_again(web, sample, monkeypatch):
    address = web.put("a.img", sample)
    with open_source(address) as source:
        patience = http.SILENCE
        monkeypatch.setattr(http, "SILENCE", 0.1)
        # Before the server falls silent a request may be late as often as it likes, and later too.
        monkeypatch.setattr("xensave.source.remote.patience.ATTEMPTS", 10_000)
        web.trouble.change = lambda: setattr(http, "SILENCE", patience)
        web.trouble.plan = ["silent"]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]
        assert web.trouble.plan == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told_at_once(web, sample, status):
    address = web.put("a.img", sample)
    web.trouble.plan = [str(status), "", ""]
    with pytest.raises(SourceError, match=f"{status} "):
        open_source(address)
    assert len(web.trouble.plan) == 2


def test_what_is_not_there(web):
    with pytest.raises(SourceError, match="404"):
        open_source(f"{web.url}/none.img")
    web.put("empty.img", b"")
    with pytest.raises(Truncated, match="is empty"):
        open_source(f"{web.url}/empty.img")
    closed = Web()
    closed.close()
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        open_source(f"{closed.url}/a.img")


@pytest.mark.parametrize("tags", [True, False])
def test_an_object_that_changes_is_an_error(web, sample, tags):
    web.tags = tags
    address = web.put("a.img", sample)
    with open_source(address) as source:
        source.view(0, 100)
        web.trouble.change = lambda: web.put("a.img", sample[:-8] + b"otherend" + b"x" * (not tags))
        web.trouble.plan = ["change"]
        with pytest.raises(SourceError, match="changed while it was read"):
            source.view(len(sample) - 100, 100)


def test_a_stream_that_is_cut_or_changes_is_an_error(web, sample):
    web.ranges = False
    address = web.put("a.img", sample)
    source = open_source(address)
    with pytest.raises(SourceError):
        web.trouble.plan = ["cut"]
        read_all(source.again())
    web.objects["/a.img"] = sample[:-8] + b"otherend"
    with pytest.raises(SourceError, match="changed while it was read"):
        source.again()


def test_redirections_are_followed(web, sample):
    web.put("a.img", sample)
    with open_source(f"{web.url}/moved/a.img") as source:
        assert bytes(source.view(len(sample) - 50, 50)) == sample[-50:]


def test_a_question_mark_is_no_pattern(web, sample):
    address = web.put("a.img", sample)
    assert [len(sample)] == [each.size for each in expand(f"{address}?token=x*y[1]")]


def test_listings_are_followed(web, sample):
    for key in ("a/1.img", "a/b/2.img", "a/b/3.txt"):
        web.put(key, sample[:1000])
    assert [each.address for each in expand(f"{web.url}/**/*.img")] == [
        f"{web.url}/a/1.img",
        f"{web.url}/a/b/2.img",
    ]
    assert [each.size for each in expand(f"{web.url}/a/*.img")] == [1000]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_a_certificate_must_be_known(sample, tmp_path, monkeypatch):
    made = certificate(tmp_path)
    web = Web(made)
    address = web.put("a.img", sample)
    try:
        with pytest.raises(SourceError, match="certificate"):
            open_source(address)
        assert not web.trouble.requests

        def show(**environment):
            return subprocess.run(
                [sys.executable, "-m", "xensave", "show", address],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **environment},
            )

        assert show().returncode == 2
        for known in ({"SSL_CERT_FILE": str(made[0])}, {"FSSPEC_HTTPS": '{"ssl": false}'}):
            done = show(**known)
            assert (done.returncode, done.stderr) == (0, "")
            assert "hvm1" in done.stdout
    finally:
        web.close()


@pytest.mark.parametrize("ranges", [True, False])
def test_what_a_server_says_is_compressed_is_opened_here(web, sample, ranges):
    """Apache says so of a .gz; a part of one cannot be opened alone."""
    web.ranges, web.encoding = ranges, "gzip"
    address = web.put("a.img.gz", gzip.compress(sample, 1))
    with open_source(address) as source:
        assert read_all(source) == sample


def test_no_more_is_taken_than_was_asked_for(web, sample):
    address = web.put("a.img", sample)
    with open_source(address) as source:
        web.trouble.plan = ["endless"] * 5
        with pytest.raises(SourceError, match="gave more than the 65536 bytes"):
            source.view(10_000_000, 50)


def test_a_listing_without_an_end(web, sample, monkeypatch):
    for number in range(50):
        web.put(f"a/{number}.img", sample[:1000])
    assert len(list(expand(f"{web.url}/a/*.img"))) == 50
    monkeypatch.setattr("xensave.source.remote.http.LISTING", 200)
    with pytest.raises(LimitExceeded, match="a listing of more than 200 bytes"):
        list(expand(f"{web.url}/a/*.img"))
