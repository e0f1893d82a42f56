"""What is copied from a mapped file comes from a VHD and from a store as from the image itself."""

import pytest

from fuzz.corpus import seeds
from xensave import open as open_image
from xensave.dump import FORMATS, extract
from xensave.testing.vhd import vhd

IMAGES = ["kernel", "legacy-remus"]
"""A guest with a kernel, and one of whose pages some lie in no input."""


@pytest.fixture(params=["vhd", "store"])
def stored(request):
    """Put an image where it cannot be mapped; return what names it."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")

    def put(data):
        if request.param == "vhd":
            return vhd(data + bytes(-len(data) % (1 << 16)))
        store.pipe("/guest.img", data)
        return "memory://guest.img"

    yield put
    store.store.clear()


def dumped(what, folder, format):
    out = folder / "out"
    with open_image(what) as image:
        extract(image, str(out), format)
        assert len(image.memory.index)
        pages = [image.memory.page(pfn) for pfn in image.memory.index.pfns.tolist()[:4]]
    return out.read_bytes(), pages


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", IMAGES)
def test_a_dump_is_the_same(name, format, stored, tmp_path):
    data = seeds()[name]
    if name == "legacy-remus" and format in ("elf", "core"):
        pytest.skip("that stream has no vCPU")
    assert dumped(stored(data), tmp_path, format) == dumped(data, tmp_path, format)


def test_drgn_sees_the_same(stored):
    pytest.importorskip("drgn")
    from xensave.drgn import program

    banners = []
    for what in (stored(seeds()["kernel"]), seeds()["kernel"]):
        with open_image(what) as image:
            banners.append(program(image).read(0xFFFFFFFFB7DF9B60, 400))
    assert banners[0] == banners[1]
    assert b"6.1.0-56-cloud-amd64" in banners[0]
