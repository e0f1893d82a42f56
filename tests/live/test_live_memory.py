"""A running guest's memory: paused while it is read, and resumed whatever happens to the reader.

The library behind it answers as the real one is declared to; `make test-xen` asks a real one.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest

from tests.live.test_live import CONTEXT, host, library  # noqa: F401 - fixtures
from xensave import open as open_image
from xensave.cli import main
from xensave.cli.running import open_with_memory
from xensave.errors import SourceError
from xensave.live import foreign
from xensave.live.memory import open_domain_memory

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="NO COMPILER: gcc")

MAX_FRAME = 0xC0
THERE = [frame for frame in range(0x21) if frame != 5]


@pytest.fixture
def guest(host, library, monkeypatch, tmp_path):  # noqa: F811 - fixtures
    """The fake's guest; what was done to it is in a file."""
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_MAX_FRAME", str(MAX_FRAME))
    monkeypatch.setattr(foreign.ForeignMemory.__init__, "__defaults__", (library,))
    return tmp_path / "log"


def test_memory_and_registers(guest):
    with open_image("domain:1", source=open_domain_memory("domain:1")) as image:
        assert image.memory.index.pfns.tolist() == THERE
        assert all(image.memory.page(frame) == bytes([frame]) * 4096 for frame in THERE)
        assert image.memory.index.type_of(5) == 0xF
        # A PVH guest may have memory where another has the VGA hole.
        assert image.memory.index.type_of(0xA0) == 0xF
        assert image.context_bytes == CONTEXT.read_bytes()
    assert guest.read_text() == "pause\nunpause\n"


PV_THERE = [frame for frame in range(16) if frame != 5]


def test_a_pv_guest(guest):
    """By its own frame numbers, its tables too; test_pv.py holds the translation to a save."""
    with open_image("domain:2", source=open_domain_memory("domain:2")) as image:
        assert (image.type, image.xen, image.vcpu_numbers) == ("pv", "4.17", (0,))
        assert image.memory.index.pfns.tolist() == PV_THERE
        assert image.memory.page(3) == bytes([3]) * 4096
        assert image.memory.index.type_of(2) == 0xC
        assert image.vcpu(0).registers.cr3 == 2 << 12
        entries = struct.unpack("<512Q", image.memory.page(2))
        assert {at: entry for at, entry in enumerate(entries) if entry} == {1: 3 << 12 | 0x67}
    assert guest.read_text() == "pause\nunpause\n"


def test_a_pv_guest_of_a_xen_that_tells_no_types(guest, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FAKE_NO_TYPES", "1")
    assert main(["extract", "domain:2", str(tmp_path / "out")]) == 1
    assert "does not tell the types of a PV guest's pages" in capsys.readouterr().err
    assert guest.read_text() == "pause\nunpause\n"


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What the fake is asked for from now on: how, the first frame, how many."""
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))

    def read():
        lines = (tmp_path / "calls").read_text().splitlines()
        return [(word, int(first), int(count)) for word, first, count in map(str.split, lines)]

    return read


TOP, LAST = 8, 0xFEFFF


def test_frames_that_are_not_there_are_not_mapped_in_the_pause(guest, calls, monkeypatch):
    monkeypatch.setenv("FAKE_TOP", str(TOP))
    monkeypatch.setenv("FAKE_MAX_FRAME", str(LAST))
    with open_image("domain:1", source=open_domain_memory("domain:1")) as image:
        found = image.memory.index
        assert found.pfns.tolist() == [*THERE, *range(LAST - TOP + 1, LAST + 1)]
        assert image.memory.page(LAST) == bytes([LAST & 0xFF]) * 4096
        assert found.type_of(0x80000) == 0xF
    asked = calls()
    words = [word for word, _, _ in asked]
    paused = asked[words.index("pause") + 1 : words.index("unpause")]
    blocks = -(-(LAST + 1) // 1024)
    assert [count for word, _, count in paused if word == "types"] == [1024] * blocks
    # Two blocks have pages: the first frames but one, and the last.
    mapped = [(first, count) for word, first, count in paused if word == "map"]
    assert mapped == [(0, len(THERE)), (LAST - TOP + 1, TOP)]


def test_a_xen_that_tells_no_types_is_asked_for_every_frame(guest, calls, monkeypatch):
    monkeypatch.setenv("FAKE_NO_TYPES", "1")
    with open_image("domain:1", source=open_domain_memory("domain:1")) as image:
        assert image.memory.index.pfns.tolist() == THERE
        assert image.memory.index.type_of(5) == 0xF
    assert [call for call in calls() if call[0] == "map"] == [("map", 0, MAX_FRAME + 1)]


def test_a_broken_page_is_left_out(guest, monkeypatch):
    monkeypatch.setenv("FAKE_BROKEN", "9")
    with open_image("domain:1", source=open_domain_memory("domain:1")) as image:
        assert 9 not in image.memory
        assert image.memory.index.type_of(9) == 0xD


def test_a_guest_with_a_frame_far_up_is_not_paused_for_hours(guest, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FAKE_MAX_FRAME", str(1 << 30))
    assert main(["extract", "domain:1", str(tmp_path / "out")]) == 1
    assert "its highest frame is 0x40000000, the limit is 0x10000000" in capsys.readouterr().err
    assert not guest.exists()


@pytest.mark.parametrize("format", ["elf", "raw", "lime", "core"])
@pytest.mark.parametrize(("name", "frames"), [("guest1", 32), ("paravm", 15)])
def test_extract(guest, name, frames, format, capsys):
    out = guest.with_name("out")
    assert main(["extract", f"domain:{name}", str(out), "--format", format]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: {format}, {frames} frames, ")
    assert guest.read_text() == "pause\nunpause\n"


def test_what_looks_into_memory_takes_it_too(guest, tmp_path, capsys):
    assert main(["memory", "domain:guest1", "--physical", "0x7ffe", "--length", "4", "--hex"]) == 0
    assert "  07 07 08 08 " in capsys.readouterr().out
    assert main(["memory", "domain:1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 32
    thinned = tmp_path / "thin"
    assert main(["thin", "domain:1", str(thinned)]) == 0
    with open_image(str(thinned)) as image:
        assert image.memory.index.pfns.tolist() == THERE
    with open_with_memory("domain:1") as image:
        assert image.memory.page(7) == bytes([7]) * 4096
    assert main(["memory", "domain:paravm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["frames"] == 15
    assert guest.read_text() == "pause\nunpause\n" * 5


@pytest.mark.parametrize("name", ["domain:7", "domain:nobody"])
def test_what_cannot_be_read_is_not_left_paused(guest, name, tmp_path, capsys):
    assert main(["extract", name, str(tmp_path / "out")]) in {1, 2}
    assert capsys.readouterr().err.startswith(f"xensave extract: {name}")
    log = guest.read_text() if guest.exists() else ""
    assert log.count("unpause") * 2 == len(log.split())


@pytest.mark.parametrize("ways", ["1 gone", "2 gone unpause"])
def test_a_guest_that_is_destroyed_meanwhile(guest, monkeypatch, ways, tmp_path, capfd):
    """Of one that dies Xen tells ever fewer frames: what was read of it is not its memory."""
    how, *done = ways.split()
    monkeypatch.setenv("FAKE_VANISH", how)
    out = tmp_path / "out"
    assert main(["extract", "domain:1", str(out)]) == 2
    assert capfd.readouterr().err == (
        "xensave extract: domain:1: domain 1 was destroyed while its memory was read\n"
    )
    assert guest.read_text().split() == ["pause", *done]
    assert not out.exists()


def test_without_the_right_nothing_is_read(guest, monkeypatch, tmp_path):
    monkeypatch.delenv("FAKE_LOG")
    with pytest.raises(SourceError, match="no right to ask of domain 1"):
        open_domain_memory("domain:1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("domain", [1, 2])
def test_a_kill_resumes_the_guest(guest, library, domain, number, tmp_path):  # noqa: F811 - fixture
    # Whoever runs the tests in the background has SIGINT ignored, and the reader would too.
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from xensave.cli import main
from xensave.cli.running import open_with_memory
from xensave.live import foreign, libraries
libraries.XenCall.__init__.__defaults__ = ({library!r},)
foreign.ForeignMemory.__init__.__defaults__ = ({library!r},)
main(["extract", "domain:{domain}", {str(tmp_path / "out")!r}])
"""
    ended = tmp_path / "ended"
    environment = {**os.environ, "FAKE_UNTIL": str(ended)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=-3) as reader:
        while not (guest.exists() and guest.read_text() == "pause\n"):
            assert reader.poll() is None
            time.sleep(0.02)
        reader.send_signal(number)
        ended.touch()
        # Whoever resumes the guest outlives the reader that was killed.
        while guest.read_text() != "pause\nunpause\n":
            time.sleep(0.02)
        reader.kill()
    assert not (tmp_path / "out").exists()


def test_no_library(monkeypatch, tmp_path, capsys):
    assert main(["extract", "domain:1", str(tmp_path / "out")]) == 2
    assert "can be read in Xen's dom0 only" in capsys.readouterr().err
