"""Streams of today for Xen 4.5 and older. Oracle: the reader of legacy streams gives them back.

That reader is held to Xen's own converter by its bytes (tests/container/test_legacy.py); the
converter of 4.17 has also taken what is written here of real HVM and PV images.
"""

import gzip

import pytest

from tests.convert.frames import conversion
from xensave.cli import main
from xensave.container import walk
from xensave.container.events import LIBXC, LIBXL
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.findings import NOTE
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.source import MemorySource
from xensave.testing import frames, legacy, pv, streams

CFG = b"name = 'guest'\nbuilder = 'hvm'\n"
KEYS = [
    ("physmap/a0000/start_addr", "f0000000"),
    ("physmap/a0000/size", "800000"),
    ("physmap/a0000/name", "vga.vram"),
]


def hvm_stream(*records, release="4.17", pages=3):
    inside = streams.memory(pages) + b"".join(records) + streams.hvm_tail(release)
    return streams.libxl_stream(
        streams.libxc_stream(inside, release), streams.emulator(KEYS, frames.QEMU)
    )


def converted(tmp_path, data, *words, target="4.5", config=None):
    return conversion.converted(tmp_path, data, "-t", target, *words, config=config)


def pages_of(data):
    return [e.to_bytes() for e in walk(MemorySource(data)) if e.is_record(LIBXC, libxc.PAGE_DATA)]


def clean(data):
    return [f.rule for f in verify(MemorySource(data)) if f.severity != NOTE] == []


def test_an_xl_file_of_an_hvm_guest(tmp_path):
    image = streams.xl_image(hvm_stream())
    code, out = converted(tmp_path, image)
    assert code == 0
    assert clean(out)
    assert pages_of(out) == pages_of(image)
    with open_image(out) as written:
        assert written.containers[:2] == ("xl", "legacy libxc of a 64-bit toolstack")
        assert written.config["c_info"]["name"] == "guest"
        assert written.emulators[0].state == frames.QEMU
        assert dict(written.emulators[0].xenstore) == dict(KEYS)
        assert written.params[1] == 0xFEFFE
        sizes = {record.name: record.length for record in written.context}
        assert (sizes["CPU"], sizes["RTC"]) == (1024, 16)


@pytest.mark.parametrize("wrap", [gzip.compress, lambda data: data])
@pytest.mark.parametrize("target", ["3.4", "4.0", "4.2", "4.5"])
def test_a_bare_stream_for_any_release_of_old(target, wrap, tmp_path):
    code, out = converted(tmp_path, wrap(hvm_stream()), "--allow-loss", target=target)
    assert code == 0
    assert clean(out)
    assert pages_of(out) == pages_of(hvm_stream())
    model = b"DeviceModelRecord0002" if target not in ("3.4", "4.0") else b"QemuDevice"
    assert model in out


def test_a_pv_guest_comes_back_whole(tmp_path):
    original = legacy.pv_stream(8, 8)
    (tmp_path / "legacy").write_bytes(original)
    v3 = tmp_path / "v3"
    words = ["convert-legacy-stream", "-i", str(tmp_path / "legacy"), "-o", str(v3)]
    assert main([*words, "-f", "libxl"]) == 0
    code, out = converted(tmp_path, v3.read_bytes())
    assert code == 0
    assert clean(out)
    before = [e.to_bytes() for e in walk(MemorySource(original)) if e.layer == LIBXC]
    after = [e.to_bytes() for e in walk(MemorySource(out)) if e.layer == LIBXC]
    assert before == after


def test_json_is_for_4_5_only(tmp_path, capsys):
    image = streams.xl_image(hvm_stream())
    assert converted(tmp_path, image, target="4.4")[0] == 1
    assert "--config" in capsys.readouterr().err
    code, out = converted(tmp_path, image, target="4.4", config=CFG)
    assert code == 0
    assert clean(out)
    with open_image(out) as written:
        assert written.config_text == CFG.decode()
    assert converted(tmp_path, image, target="4.0", config=CFG)[0] == 1
    assert "has no xl" in capsys.readouterr().err


def test_libvirt_says_which_stream_follows(tmp_path):
    code, out = converted(tmp_path, frames.libvirt_file(hvm_stream()))
    assert code == 0
    assert out[16:20] == b"\1\0\0\0"
    assert clean(out)


def test_what_has_no_legacy_form_is_refused(tmp_path, capsys):
    no_model = streams.libxl_stream(frames.plain_stream(), b"")
    for data, why in (
        (no_model, "device model"),
        (streams.checkpointed("4.17", 1), "checkpointed"),
        (frames.suspend_image(), "no legacy form"),
        (hvm_stream(streams.page_data([1 << 30])), "28 bits"),
    ):
        code, out = converted(tmp_path, data, "--allow-loss")
        assert (code, out) == (1, None)
        assert why in capsys.readouterr().err
    assert converted(tmp_path, hvm_stream(), "--allow-loss", target="3.3")[0] == 1
    assert "those from 3.4 on" in capsys.readouterr().err


def test_policies_and_msrs_are_losses(tmp_path, capsys):
    policy = streams.stream_head("4.17", libxc.HVM) + streams.policies()
    policy += streams.static_data("4.17") + streams.memory(1) + streams.hvm_tail("4.17")
    stream = streams.libxl_stream(policy + pack_record(libxc.END), streams.emulator(KEYS))
    assert converted(tmp_path, stream)[0] == 1
    assert "X86_CPUID_POLICY" in capsys.readouterr().err
    assert converted(tmp_path, streams.libxl_stream(pv.pv_stream(memory=streams.memory(1))))[0] == 1
    assert "MSRS" in capsys.readouterr().err


def test_a_legacy_stream_for_an_older_release(tmp_path):
    stream = legacy.hvm_stream(4, extra=legacy.param(-19, 0xFEFF0))
    code, out = converted(tmp_path, stream, "--allow-loss", target="4.4")
    assert code == 0
    assert clean(out)
    assert pages_of(out) == pages_of(stream)
    with open_image(out) as written:
        assert 32 not in written.params
        assert written.containers[0] == "legacy libxc of a 64-bit toolstack"
        assert not [e for e in walk(MemorySource(out)) if e.layer == LIBXL and e.type == 99]


def test_a_legacy_stream_is_judged_by_old_and_new_releases(tmp_path, capsys):
    _, out = converted(tmp_path, streams.xl_image(hvm_stream()))
    (tmp_path / "old").write_bytes(out)
    capsys.readouterr()
    for target in ("4.5", "4.17"):
        assert main(["check", str(tmp_path / "old"), "-t", target]) == 0
        assert "restores" in capsys.readouterr().out
    (tmp_path / "pv").write_bytes(legacy.pv_stream())
    assert main(["check", str(tmp_path / "pv"), "-t", "4.5"]) == 1
    assert "depends on" in capsys.readouterr().out
