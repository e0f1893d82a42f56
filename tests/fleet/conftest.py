"""moto's S3, a proxy before it, and a bucket with the sample image."""

import pytest

from tests.fleet.servers.store import Proxy

SAMPLE = "examples/hvm1.img.zst"


@pytest.fixture(scope="session")
def sample():
    """The sample image, decompressed."""
    from xensave.source import open_source, read_all

    with open_source(SAMPLE) as source:
        return read_all(source)


@pytest.fixture(scope="session")
def moto():
    pytest.importorskip("moto", reason="S3 is tested against moto: pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="s3:// needs s3fs: pip install 'xensave[s3]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(moto, monkeypatch):
    """A bucket behind the proxy: `put(key, data)`, `trouble`, and addresses that reach it."""
    import s3fs

    proxy = Proxy(moto)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url,
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    direct = s3fs.S3FileSystem(
        endpoint_url=moto, key="test", secret="test", skip_instance_cache=True
    )
    if not direct.exists("images"):
        direct.mkdir("images")
    yield Store(proxy, direct)
    direct.invalidate_cache()
    for path in direct.find("images"):
        direct.rm_file(path)
    s3fs.S3FileSystem.clear_instance_cache()
    proxy.close()


class Store:
    def __init__(self, proxy, direct):
        self.trouble = proxy.trouble
        self._direct = direct

    def put(self, key, data):
        self._direct.pipe_file(f"images/{key}", data)
        return f"s3://images/{key}"
