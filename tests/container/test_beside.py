"""The walk in runs is the plain one on every builder's stream, every sample, and what is left of it
after damage; a pipe gives the same, however its bytes come."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings

from tests.container.beside import both, opens
from xensave.container import runs
from xensave.container.runs import PageRun, walk_in_runs
from xensave.container.streams import libxc
from xensave.errors import XensaveError
from xensave.source import open_source, read_all
from xensave.testing import frames, legacy, strategies, streams
from xensave.testing.mutate import mutate
from xensave.testing.pv import pv_stream
from xensave.testing.sparse import write_sparse_image
from xensave.testing.vhd import vhd

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
SAMPLES = [
    path
    for place in (ROOT / "examples", ROOT / "tests/data", SHARED)
    for path in sorted(place.rglob("*"))
    if path.suffix in (".img", ".ctx")
    or ".img." in path.name
    or path.match("containers/*.zst")
    or path.match("legacy/hvm*.zst")
    or ".stream." in path.name
]
SMALL = 1 << 20
# Records of one PFN, of two, of one whose page is not sent.
BODY = b"".join(
    [
        *(streams.page_data([n]) for n in range(20)),
        *(streams.page_data([n, n + 1]) for n in range(40, 80, 2)),
        *(streams.page_data([n]) for n in range(20, 25)),
    ]
)
HVM = streams.libxc_stream(BODY + streams.hvm_tail("4.17"), "4.17")
BUILT = {
    "hvm image": streams.hvm_image("4.17", pages=5000),
    "hvm 4.13": streams.libxc_stream(BODY + streams.hvm_tail("4.13"), "4.13"),
    "xl": streams.xl_image(streams.libxl_stream(HVM)),
    "pv": pv_stream(memory=BODY),
    "checkpoints": streams.checkpointed("4.17", 9),
    "libvirt": frames.libvirt_file(streams.libxl_stream(HVM)),
    "xenopsd": frames.suspend_image(HVM),
    "xend": frames.xend_file(legacy.hvm_stream()),
    "legacy xenopsd": frames.legacy_suspend_image(legacy.pv_stream(8, 8), b""),
    "legacy hvm": legacy.hvm_stream(4),
    "legacy pv": legacy.pv_stream(8, 4),
    "vhd": vhd(HVM.ljust(-(-len(HVM) // 4096) * 4096, b"\0"), block=4096),
}


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    monkeypatch.setattr(runs, "SHORTEST", 2)
    monkeypatch.setattr(runs, "SHORTEST_OF_ARRAYS", 2)
    monkeypatch.setattr(runs, "LONGEST", 9)


def in_runs(data):
    with open_source(data) as source:
        return sum(isinstance(event, PageRun) for event in walk_in_runs(source))


@pytest.mark.parametrize("name", BUILT)
def test_what_is_built(name):
    both(BUILT[name])
    chance = Random(name)
    for damaged in (mutate(BUILT[name], chance) for _ in range(10)):
        if opens(damaged):
            both(damaged)
    assert in_runs(BUILT[name]) or name.startswith(("legacy", "xend", "checkpoints", "vhd"))


@settings(max_examples=40)
@given(strategies.damaged(strategies.images()) | strategies.images() | strategies.libxc_streams())
def test_what_is_drawn(data):
    if opens(data):
        both(data)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"NO SHARED SAMPLES: {SHARED} is not there")
def test_the_shared_samples_are_among_them():
    assert sum(path.is_relative_to(SHARED) for path in SAMPLES) > 30


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample(path):
    try:
        with open_source(str(path)) as source:
            data = read_all(source)
        open_source(data).close()
    except XensaveError as error:
        pytest.skip(f"NO SAMPLE OF A STREAM: {error}")
    both(data)
    chance = Random(path.name)
    for damaged in (mutate(data, chance) for _ in range(4 if len(data) < SMALL else 0)):
        if opens(damaged):
            both(damaged)


@pytest.mark.parametrize("window", [1 << 7, 1 << 9, 1 << 20])
@pytest.mark.parametrize("pages", [1, 3])
def test_windows_of_any_size(monkeypatch, window, pages):
    """A record in each window's place, and runs that end with a window and behind it."""
    monkeypatch.setattr(runs, "WINDOW", window)
    for records in (8, 9, 10, 11, 18, 19, 20, 28):
        body = b"".join(streams.page_data(range(n, n + pages)) for n in range(records))
        both(libxc_stream := streams.libxc_stream(body + streams.page_data(range(7))))
        both(libxc_stream[: -libxc.PAGE_SIZE])


def test_a_sparse_image(tmp_path):
    write_sparse_image(tmp_path / "image", 32 << 20)
    both((tmp_path / "image").read_bytes())
