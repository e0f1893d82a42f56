"""Legacy streams for the releases of today: what is written verifies, or nothing is."""

import json
from pathlib import Path

import pytest

from tests.container.test_legacy import EDGES, SHARED, STREAMS, unpacked
from xensave.cli import main
from xensave.container import walk
from xensave.findings import NOTE
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.source import MemorySource
from xensave.testing import legacy
from xensave.testing.streams import xl_image


@pytest.mark.parametrize("name", [name for name in EDGES if EDGES[name]["libxl"]["rc"] == 0])
def test_what_is_written_verifies(name, tmp_path, capsys):
    (tmp_path / "in").write_bytes(STREAMS[name])
    out = tmp_path / "out"
    words = ["convert", str(tmp_path / "in"), str(out), "--target", "4.17"]
    if main([*words, "--input-format", "legacy"]) == 0:
        found = verify(MemorySource(out.read_bytes()))
        assert [finding for finding in found if finding.severity != NOTE] == []
    else:
        assert not out.exists()
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("target", ["4.6", "4.13", "4.14", "4.21"])
def test_an_xl_file_announces_the_stream_of_today(target, tmp_path):
    image = xl_image(legacy.hvm_stream(), b"name = 'guest'\n\0")
    (tmp_path / "in").write_bytes(image[:36] + bytes(4) + image[40:])
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "in"), str(out), "--target", target]) == 0
    assert list(verify(MemorySource(out.read_bytes()))) == []
    with open_image(str(out)) as written, open_image(str(tmp_path / "in")) as read:
        assert written.containers[:2] == ("xl", "libxl v2")
        assert read.containers[0] == "xl"
        assert read.containers[1].startswith("legacy libxc")
        assert (written.config_text, written.xen) == ("name = 'guest'\n", target)
        assert written.params == read.params
        assert written.type == read.type


def test_the_plan_says_that_the_stream_was_legacy(tmp_path, capsys):
    (tmp_path / "in").write_bytes(legacy.hvm_stream())
    assert main(["convert", str(tmp_path / "in"), "--dry-run", "-t", "4.17", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["changes"][0]["what"] == "a legacy stream to one of version 3"


def test_memory_is_that_of_the_stream(tmp_path):
    (tmp_path / "in").write_bytes(legacy.hvm_stream(4))
    (tmp_path / "v3").write_bytes(
        b"".join(
            event.to_bytes()
            for event in walk(MemorySource(legacy.hvm_stream(4)))
            if event.layer != "legacy"
        )
    )
    for name in ("in", "v3"):
        out = tmp_path / f"{name}.raw"
        assert main(["extract", str(tmp_path / name), str(out), "-q", "--format", "raw"]) == 0
    assert Path(tmp_path / "in.raw").read_bytes() == Path(tmp_path / "v3.raw").read_bytes()


@pytest.mark.skipif(not SHARED.exists(), reason="needs the larger streams")
@pytest.mark.parametrize("target", ["4.6", "4.17"])
def test_a_real_pv_guest(target, tmp_path):
    (tmp_path / "in").write_bytes(unpacked(SHARED / "pv1.tar.zst")["pv1/legacy"])
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "in"), str(out), "-t", target, "-q"]) == 0
    assert main(["verify", str(out)]) == 0
