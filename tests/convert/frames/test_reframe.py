"""`convert --to`: the same stream in the frame of another toolstack, or a refusal that says why."""

import json

import pytest

from tests.convert.frames import conversion
from xensave.container import walk
from xensave.container.events import LIBXC, LIBXL
from xensave.container.formats import FORMATS, frame_names
from xensave.findings import NOTE
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.source import MemorySource
from xensave.testing import frames, legacy, streams

STREAM = streams.libxl_stream(
    frames.plain_stream(), streams.emulator([("physmap/0/name", "vram")], frames.QEMU)
)
CONFIG = streams.configuration().rstrip(b"\0")
SOURCES = {
    "xl": streams.xl_image(STREAM, CONFIG + b"\0"),
    "libxl": STREAM,
    "libxc": frames.plain_stream(),
    "libvirt": frames.libvirt_file(STREAM),
    "xenopsd": frames.suspend_image(),
    "legacy": legacy.hvm_stream(),
    "xend": frames.xend_file(legacy.hvm_stream(4)),
}
METADATA = {
    "xl": CONFIG,
    "libvirt": frames.DOMAIN.encode(),
    "xenopsd": frames.vm_record()[16:],
}


def converted(tmp_path, data, to, *words, config=None):
    return conversion.converted(tmp_path, data, "-t", "4.17", "--to", to, *words, config=config)


def of_libxc(data):
    return b"".join(e.to_bytes() for e in walk(MemorySource(data)) if e.layer == LIBXC)


def emulator_state(data):
    with open_image(data) as image:
        return [emulator.state for emulator in image.emulators]


def test_the_names_of_frames_are_those_that_hold_a_stream():
    assert frame_names() == [each.name for each in FORMATS if each.inner]


@pytest.mark.parametrize("to", frame_names())
@pytest.mark.parametrize("source", SOURCES)
def test_a_stream_goes_from_any_frame_into_any_other(source, to, tmp_path):
    data = SOURCES[source]
    config = METADATA.get(to) if source != to else None
    code, out = converted(tmp_path, data, to, "--allow-loss", config=config)
    assert code == 0
    found = list(verify(MemorySource(out)))
    assert [finding for finding in found if finding.severity != NOTE] == []
    if source not in ("legacy", "xend"):
        assert of_libxc(out) == of_libxc(data)
    with open_image(out) as image:
        assert image.containers[0].split()[0] == to
        if config is not None or source == to != "libxc":
            assert to in ("libxl",) or image.guest.startswith("guest")
    if to != "libxc" and source != "libxc":
        assert emulator_state(out) == emulator_state(data)


@pytest.mark.parametrize("to", ["xl", "libvirt", "xenopsd"])
def test_what_is_missing_is_said(to, tmp_path, capsys):
    code, out = converted(tmp_path, SOURCES["libxl"], to, "--allow-loss")
    assert (code, out) == (1, None)
    assert "give it by --config FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("to", "config"), [("libvirt", b"<network/>"), ("libvirt", b"no"), ("xenopsd", b"((x")]
)
def test_metadata_that_the_frame_cannot_hold(to, config, tmp_path, capsys):
    code, out = converted(tmp_path, SOURCES["libxl"], to, "--allow-loss", config=config)
    assert (code, out) == (1, None)
    assert capsys.readouterr().err.count("\n") == 1


def test_devices_without_a_place_are_losses(tmp_path, capsys):
    assert converted(tmp_path, SOURCES["xl"], "libxc")[0] == 1
    assert "EMULATOR_XENSTORE_DATA" in capsys.readouterr().err
    assert converted(tmp_path, SOURCES["xenopsd"], "libxl")[0] == 1
    assert "Varstored" in capsys.readouterr().err


def test_the_same_frame_changes_no_byte(tmp_path):
    for name in frame_names():
        code, out = converted(tmp_path, SOURCES[name], name)
        assert (code, out) == (0, SOURCES[name])


def test_the_plan_names_the_frames(tmp_path, capsys):
    converted(tmp_path, SOURCES["xl"], "libxl", "--json")
    plan = json.loads(capsys.readouterr().out)
    assert [change["what"] for change in plan["changes"]] == ["xl header", "a libxl stream"]


def test_a_context_alone_is_refused(tmp_path, capsys):
    assert converted(tmp_path, streams.restorable_context("4.17"), "xl")[0] == 1
    assert "no memory" in capsys.readouterr().err


def test_a_libxl_stream_of_the_legacy_kind_stays_one(tmp_path):
    code, out = converted(tmp_path, SOURCES["legacy"], "xl", config=b"name = 'guest'\n")
    assert code == 0
    headers = [event.header for event in walk(MemorySource(out)) if event.layer == LIBXL]
    assert headers[0].options == 2
