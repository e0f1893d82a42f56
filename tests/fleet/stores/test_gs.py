"""gs://, against an emulator of Google's storage behind the proxy that makes trouble.

The emulator gives the newest bytes whatever generation is asked for; Google's answers 404 for one
that is no more, as the proxy here does.
"""

import json
import logging
import os
import socket
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

# Whether a bucket is hierarchical is asked by gRPC, which the emulator has not; read at import.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
gcsfs = pytest.importorskip("gcsfs", reason="gs:// needs gcsfs: pip install 'xensave[gs]'")
emulator = pytest.importorskip(
    "gcp_storage_emulator.server", reason="pip install gcp-storage-emulator"
)

from fsspec.config import conf

from tests.fleet.servers.store import Proxy
from xensave.errors import SourceError
from xensave.image import open_image
from xensave.source import open_source
from xensave.source.remote.stores import expand


@pytest.fixture(scope="module")
def upstream():
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="images")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def gs(upstream, monkeypatch):
    proxy = Proxy(upstream, objects="/download")
    proxy.trouble.gone = lambda path: path.startswith("/download") and _gone(upstream, path)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    monkeypatch.setitem(conf, "gs", {"token": "anon", "endpoint_url": proxy.url})
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield Bucket(proxy, gcsfs.GCSFileSystem(endpoint_url=upstream, token="anon"))
    gcsfs.GCSFileSystem.clear_instance_cache()
    proxy.close()


def _gone(upstream, path):
    """Tell whether the generation that a path asks for is not the object's."""
    parts = urlsplit(path)
    wanted = parse_qs(parts.query).get("generation")
    with urllib.request.urlopen(upstream + parts.path.removeprefix("/download")) as answer:
        return wanted is not None and json.load(answer)["generation"] not in wanted


class Bucket:
    def __init__(self, proxy, direct):
        self.trouble, self._direct = proxy.trouble, direct

    def put(self, key, data):
        self._direct.pipe_file(f"images/{key}", data)
        return f"gs://images/{key}"


def test_a_glance_takes_few_requests(gs, sample):
    address = gs.put("a.img", sample)
    gs.trouble.requests.clear()
    with open_image(address, glance=True) as image:
        assert image.guest == "hvm1"
        assert image.tally.unread
    assert len(gs.trouble.requests) <= 4, [each[1] for each in gs.trouble.requests]
    assert sum(size for *_, size in gs.trouble.requests) < 1 << 20


@pytest.mark.parametrize("act", ["500", "503", "429", "cut", "drop"])
def test_trouble_costs_a_wait_not_the_answer(gs, sample, act):
    address = gs.put("a.img", sample)
    with open_source(address) as source:
        gs.trouble.plan = [act]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]


def test_an_object_that_changes_is_an_error(gs, sample):
    address = gs.put("a.img", sample)
    with open_source(address) as source:
        source.view(0, 100)
        gs.trouble.change = lambda: gs.put("a.img", sample[:-8] + b"otherend")
        gs.trouble.plan = ["change"]
        with pytest.raises(SourceError, match="changed while it was read"):
            source.view(len(sample) - 100, 100)


def test_patterns_and_what_is_not_there(gs, sample):
    for key in ("p/1.img", "p/b/2.img", "p/b/3.txt"):
        gs.put(key, sample[:1000])
    found = list(expand("gs://images/p/**/*.img"))
    assert [each.address for each in found] == ["gs://images/p/1.img", "gs://images/p/b/2.img"]
    assert all(each.size == 1000 and each.mtime and each.etag for each in found)
    for address in ("gs://images/none.img", "gs://images/none/*", "gs://nowhere/a.img"):
        with pytest.raises(SourceError):
            list(expand(address))


def test_a_refusal_is_told_at_once(gs, sample):
    address = gs.put("a.img", sample)
    with open_source(address) as source:
        gs.trouble.plan = ["403"] + [""] * 9
        with pytest.raises(SourceError, match="Forbidden"):
            source.view(10_000_000, 50)
    assert len(gs.trouble.plan) == 9
