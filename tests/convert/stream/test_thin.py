"""A thin stream leaves the same memory, is valid, and is as small as it can be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory import samples
from tests.memory.samples import image, page, record
from xensave import open as open_image
from xensave.cli import main
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.convert.thin import thin
from xensave.errors import Unsupported
from xensave.findings import NOTE
from xensave.rules.stream import verify
from xensave.source import open_source
from xensave.testing import legacy, streams

DATALESS = (0xD, 0xE, 0xF)
ENTRIES = st.one_of(
    st.tuples(st.integers(0, 12), st.integers(1, 255).map(page)),
    st.tuples(st.integers(0, 12), st.sampled_from(DATALESS), st.just(b"")),
)
RECORDS = st.lists(
    st.lists(ENTRIES, min_size=1, max_size=8, unique_by=lambda each: each[0]), max_size=6
)


def state(memory):
    """What a restore leaves: contents by frame, and the type of each frame."""
    index = memory.index
    contents = {pfn: memory.page(pfn) for pfn in index.pfns.tolist()}
    return contents, [index.type_of(pfn) for pfn in range(16)]


def thinned(guest, folder):
    done = thin(guest, str(folder / "thin"))
    return done, (folder / "thin").read_bytes()


@settings(max_examples=60)
@given(RECORDS)
def test_any_stream_leaves_the_same_memory(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("thin")
    guest = image(*(record(*each) for each in records))
    done, data = thinned(guest, folder)
    with open_image(data) as again:
        assert state(again.memory) == state(guest.memory)
        assert again.memory.index.sent == len(again.memory.index) == done.after
        assert again.context_bytes == guest.context_bytes
    assert [each for each in verify(open_source(data)) if each.severity != NOTE] == []


def test_the_last_type_without_contents_stays_after_contents(tmp_path):
    """Xen takes an entry's type even where it leaves the contents: the order is kept."""
    _, data = thinned(image(record((1, page(1))), record((1, 0xF, b""))), tmp_path)
    words = [event.body()[8:16] for event in open_image(data).events() if event.name == "PAGE_DATA"]
    assert words == [(1).to_bytes(8, "little"), (1 | 0xF << 60).to_bytes(8, "little")]


def test_nothing_of_verify_stays(tmp_path):
    verified = pack_record(libxc.VERIFY) + record((1, page(1)), (2, page(9)))
    done, data = thinned(image(record((1, page(1))), verified), tmp_path)
    assert done == (3, 1)
    assert "VERIFY" not in {event.name for event in open_image(data).events()}


def test_nothing_of_an_incomplete_checkpoint_stays(tmp_path):
    end = pack_record(libxc.CHECKPOINT) + pack_record(libxl.CHECKPOINT_END)
    tail = streams.hvm_tail("4.17")
    body = record((1, page(1))) + tail + end + record((1, page(2))) + tail + end
    body += record((1, page(3)))
    whole = streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, "4.17")))
    with open_image(whole) as guest:
        done, data = thinned(guest, tmp_path)
    with open_image(data) as again:
        assert again.memory.page(1) == page(2)
    assert done == (3, 1)


def test_a_legacy_stream_is_refused(tmp_path):
    with open_image(legacy.hvm_stream()) as guest, pytest.raises(Unsupported, match="convert it"):
        thin(guest, str(tmp_path / "thin"))
    assert list(tmp_path.iterdir()) == []


def test_a_live_migration(tmp_path, capsys):
    out = tmp_path / "thin"
    samples.shared_bytes(samples.LIVE)
    assert main(["thin", str(samples.SHARED / samples.LIVE), str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 8,144 of 10,700 pages\n"
    assert out.stat().st_size < 52_227_831 - 2_556 * 4096
    with open_image(out) as thin_one, samples.shared_image(samples.LIVE) as live:
        pfns = live.memory.index.pfns.tolist()
        assert thin_one.memory.index.pfns.tolist() == pfns
        assert all(thin_one.memory.page(pfn) == live.memory.page(pfn) for pfn in pfns)
    assert main(["check", str(out), "--target", "4.17"]) == 0
    again = tmp_path / "again"
    assert main(["thin", str(out), str(again), "-q"]) == 0
    assert again.read_bytes() == out.read_bytes()
