"""The builders make what xensave itself finds valid, for every release."""

import pytest

from xensave import catalogue
from xensave import open as open_image
from xensave.container.streams import libxl
from xensave.context import Context
from xensave.findings import NOTE
from xensave.rules.stream import verify
from xensave.rules.stream.formats.release import streamed
from xensave.source import open_source
from xensave.testing import sparse, streams
from xensave.testing.pv import pv_stream

KEYS = (("physmap/0/name", "vga.vram"),)


def faults(data):
    return [found for found in verify(open_source(data)) if found.severity != NOTE]


@pytest.mark.parametrize("release", catalogue.release_names())
@pytest.mark.parametrize("vcpus", [1, 3])
def test_a_context_has_each_record_of_its_release(release, vcpus):
    context = Context.parse(streams.context(release, vcpus), release)
    assert context.vcpus == vcpus
    fixed = {
        binding.name
        for binding in catalogue.release(release).bindings
        if not catalogue.layout(binding.layout).flexible
    }
    assert {record.name for record in context} == fixed | {"END"}
    for record in context:
        assert record.layout is None or record.length == record.layout.size
    assert not faults(context.to_bytes())


@pytest.mark.parametrize("release", streamed())
class TestStreams:
    def test_hvm_image(self, release):
        data = streams.hvm_image(release, pages=3, vcpus=2)
        assert not faults(data)
        with open_image(data) as image:
            assert (image.vcpus, image.pages, image.guest) == (2, 3, "guest")
            assert image.release == (release if release != "master" else image.xen)

    def test_pv_image(self, release):
        stream = pv_stream(release, streams.memory(2), vcpus=3)
        data = streams.xl_image(streams.libxl_stream(stream))
        assert not faults(data)
        with open_image(data) as image:
            assert (image.type, image.vcpus, image.pages) == ("pv", 3, 2)

    def test_checkpointed(self, release):
        assert not faults(streams.checkpointed(release, 3))

    def test_emulator(self, release):
        stream = streams.libxc_stream(streams.hvm_tail(release), release)
        data = streams.libxl_stream(stream, streams.emulator(KEYS))
        assert not faults(data)
        with open_image(data) as image:
            (emulator,) = image.emulators
            assert emulator.xenstore == KEYS
            assert emulator.kind == libxl.EMULATORS[2]


def test_policies_are_read_back():
    head = streams.stream_head("4.17", 2) + streams.policies() + streams.static_data("4.17")
    data = head + streams.memory(1) + streams.hvm_tail("4.17") + bytes(8)
    assert not faults(data)
    with open_image(data) as image:
        assert [leaf.leaf for leaf in image.cpuid_policy] == [0]
        assert image.msr_policy == {0xCE: 0x80000000}


@pytest.mark.parametrize("mib", [1, 5, 64])
def test_a_sparse_image_is_valid_and_takes_no_disk(tmp_path, mib):
    path = tmp_path / "image"
    size = sparse.write_sparse_image(path, mib << 20, vcpus=2)
    assert size == path.stat().st_size >= mib << 20
    assert path.stat().st_blocks * 512 < size // 4
    with open_image(path) as image:
        assert (image.pages, image.vcpus) == (mib << 8, 2)
    with open_source(path) as source:
        assert all(found.severity == NOTE for found in verify(source))
